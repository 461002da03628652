"""BigPanda: the Alerts API, what becomes of events, the Incidents API and the outbound Notifications Webhook."""
