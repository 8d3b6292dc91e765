"""Reports: figures (SVG) and pages (HTML) of participants, groups, evaluations, and the viewer."""
