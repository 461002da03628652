"""One folder per vendor; see `exporter.collector` for what a folder must hold."""
