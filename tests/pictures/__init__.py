"""Draws README's pictures; nothing in here is a test."""
