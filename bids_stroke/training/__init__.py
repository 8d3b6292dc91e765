"""Training of models on patients with lesion masks or on simulated strokes."""
