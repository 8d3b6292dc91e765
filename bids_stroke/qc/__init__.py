"""Image quality, checks and outliers of sessions."""
