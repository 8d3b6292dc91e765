"""Scans of patients for training: preparation, split, groups."""
