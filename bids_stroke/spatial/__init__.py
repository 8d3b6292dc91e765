"""Images, grids, templates, transforms, registration and brain extraction."""
