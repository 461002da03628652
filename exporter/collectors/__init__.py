"""One folder per vendor; see `exporter.collectors.contract` for what a folder must hold."""
