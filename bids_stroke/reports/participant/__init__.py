"""Participant report.

``summary`` summarizes the sessions, ``sections`` arranges their figures and tables in the order of
``data/report_spec.yml``, ``cohort`` describes their percentiles in the cohort, ``longitudinal`` shows
the changes between sessions, ``neighbors`` links the pages, and ``updates`` changes existing pages.
:mod:`bids_stroke.reports.figures` draws the figures, and ``data/templates/participant.html`` is the
HTML template.
"""
