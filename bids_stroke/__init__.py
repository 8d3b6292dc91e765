"""bids_stroke: from a BIDS dataset to stroke lesion masks, volumes and corticospinal-tract loads."""

__version__ = "0.2.0"
