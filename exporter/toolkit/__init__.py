"""What any program needs that serves metrics; it knows nothing of vendors or alerts."""
