"""One module per sender: its settings, and the translation of its payload into Alerts. Pure."""
