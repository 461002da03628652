"""Metric families, the text formats, the exporter's own metrics; no I/O."""
