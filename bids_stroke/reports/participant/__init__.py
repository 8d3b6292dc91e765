"""The report of a participant, and the methods text.

The captions of the figures and their order are in ``data/report_spec.yml``, the figures in
:mod:`bids_stroke.reports.figures`, the HTML in ``data/templates/participant.html``.
"""
