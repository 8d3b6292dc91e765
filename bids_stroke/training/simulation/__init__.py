"""Simulated strokes: heads, lesions, scanner."""
