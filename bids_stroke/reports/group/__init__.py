"""The report of a cohort: a page with numbers, the table of sessions, outliers, pictures and plots."""
