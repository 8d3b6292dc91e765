"""Training on real brains with simulated lesions."""
