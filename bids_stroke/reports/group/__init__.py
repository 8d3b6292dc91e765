"""The report of a cohort."""
