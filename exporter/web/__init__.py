"""What is served over HTTP; nothing here asks a vendor."""
