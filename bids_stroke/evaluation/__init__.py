"""Predicted lesion masks against manual masks."""
