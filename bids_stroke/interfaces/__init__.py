"""Nipype interfaces: thin shells over the functions of ``bids_stroke``."""
