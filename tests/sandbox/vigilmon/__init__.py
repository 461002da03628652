"""Vigilmon: monitors, their incidents and webhooks."""
