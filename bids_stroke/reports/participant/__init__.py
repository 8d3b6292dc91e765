"""Participant report and methods text.

``data/report_spec.yml`` defines the order and the captions of figures,
:mod:`bids_stroke.reports.figures` draws the figures, and ``data/templates/participant.html`` is the
HTML template.
"""
