"""One module per sender: its settings, and its payload turned into Alerts. Pure."""
