"""Metric families, the text formats, the page cache, the exporter's own metrics; no I/O."""
