"""BIDS input and derivatives: names, sessions, supplied masks, records."""
