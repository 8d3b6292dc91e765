"""Files, cache and YAML."""
