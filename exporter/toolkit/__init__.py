"""Code that any program that serves metrics needs. It knows nothing of vendors or alerts."""
