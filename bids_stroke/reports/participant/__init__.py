"""The report of a participant."""
