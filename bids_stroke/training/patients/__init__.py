"""Patient scans for training: preparation, split, groups."""
