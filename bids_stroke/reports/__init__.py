"""Figures (SVG) and pages (HTML): participant reports, the group report, the evaluation, the viewer."""
