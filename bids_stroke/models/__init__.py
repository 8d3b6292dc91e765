"""Models: cards, weights and inference."""
