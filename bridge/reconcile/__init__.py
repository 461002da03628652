"""Unreported changes: missed resolutions and alerts, silent watchdogs, expired alerts."""
