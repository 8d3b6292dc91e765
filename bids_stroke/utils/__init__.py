"""Files, downloads, cache, tables, YAML and text."""
