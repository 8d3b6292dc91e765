"""Execution of a run, with one supervised subprocess per session.

After a killed run, files under final names are complete (:func:`bids_stroke.utils.files.atomic`). The
next run removes hidden ``.partial-*`` folders (``workflow``) and resumes from the work folder. An
unfinished session has a record with an error (``participant``), or no record, which counts as a failure
(:func:`bids_stroke.bids.record.read_all`).
"""
