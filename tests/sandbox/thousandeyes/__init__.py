"""ThousandEyes API v7 and its classic webhooks."""
