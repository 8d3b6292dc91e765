"""Evaluation of predicted lesion masks against manual masks."""
