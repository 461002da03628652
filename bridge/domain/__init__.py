"""Alerts, events, deduplication, incidents. Pure; knows no other room."""
