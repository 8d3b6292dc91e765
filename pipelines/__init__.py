"""Nipype workflows: the connections between the processing steps."""
