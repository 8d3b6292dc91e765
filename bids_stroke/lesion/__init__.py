"""Post-processing, components and measurements of a lesion mask."""
