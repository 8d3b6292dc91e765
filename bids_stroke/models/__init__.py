"""Models: what a model is (card), its weights, and how it predicts."""
