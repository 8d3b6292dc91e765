"""Nipype wiring: which step feeds which."""
