"""One supervised process per session."""
