"""Participant report.

``summary`` summarizes the sessions, ``sections`` arranges their figures and tables in the order of
``data/report_spec.yml``, and ``neighbors`` links the pages. :mod:`bids_stroke.reports.figures` draws
the figures, and ``data/templates/participant.html`` is the HTML template.
"""
