"""Remove the files of an earlier run of a session."""

from bids_stroke.bids import record as records
from bids_stroke.utils.files import PathLike

from .plan import Job


def remove_leftovers(output_dir: PathLike, job: Job) -> None:
    """Remove the outputs, the viewer, the drawing page and the record of an earlier run of a session.

    Outputs of another model, or of an earlier run of a session that fails now, must not be mistaken for
    outputs of this run. Input files of the session, and outputs that are used again, are not removed.
    """
    from bids_stroke.reports.viewer.drawing import drawing_path  # slow import
    from bids_stroke.reports.viewer.session import viewer_path

    name = job.session.name
    viewer_path(output_dir, name).unlink(missing_ok=True)
    drawing_path(output_dir, name).unlink(missing_ok=True)
    records.remove(output_dir, name, keep=[*job.session.files(job.card), *(job.earlier or ())])
