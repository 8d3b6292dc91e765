"""One supervised process per session.

A killed run leaves complete files only under final names (:func:`bids_stroke.utils.files.atomic`),
hidden ``.partial-*`` folders, which the next run removes (``workflow``), and the work folder, from
which it resumes. A session that did not end has a record of its failure (``participant``), or none,
which counts as a failure (:func:`bids_stroke.bids.record.read_all`).
"""
