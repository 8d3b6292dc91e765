"""Quality control: image quality measures, QC checks, outliers and visual ratings of sessions."""
