"""Removal of what an earlier run of a session has left."""

from bids_stroke.bids import record as records
from bids_stroke.utils.files import PathLike

from .plan import Job


def remove_leftovers(output_dir: PathLike, job: Job) -> None:
    """Remove the outputs, the viewer and the record of an earlier run of a session.

    An output of another model, or of an earlier run of a session that fails now, is never taken for one
    of this run. A file that the session reads is kept.
    """
    from bids_stroke.reports.viewer.session import viewer_path  # slow to load

    name = job.session.name
    viewer_path(output_dir, name).unlink(missing_ok=True)
    records.remove(output_dir, name, keep=job.session.files(job.card))
