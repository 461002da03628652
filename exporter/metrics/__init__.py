"""Families, the text formats, the page cache, the exporter's own families; no I/O but the render thread."""
