"""Simulation of strokes: heads, lesions and scanner."""
