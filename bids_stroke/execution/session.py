"""Subprocess of a session: check the images, run the workflow, write the reports and the record."""

import ctypes
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from bids_stroke.bids import logs
from bids_stroke.bids.record import Record
from bids_stroke.bids.reusable import describe_segmentation
from bids_stroke.compute import isolated
from bids_stroke.errors import SessionLockedError
from bids_stroke.settings import Settings
from bids_stroke.spatial import image

from .failures import describe_error
from .leftovers import remove_leftovers
from .locks import report_lock, session_lock
from .messages import Result, Send, Step
from .plan import Job
from .steps import REPORT
from .workflow import run_workflow, session_work_folder

LOG = logging.getLogger("bids_stroke")


def run_session(
    settings: Settings, job: Job, channel: Connection, environment: Mapping[str, str]
) -> None:
    """Run one session in this subprocess; send messages through ``channel``, the last a ``Result``.

    ``environment`` contains the environment variables to set before libraries that read them load.
    """

    def work() -> Result:
        name = job.session.name
        with session_lock(settings.output_dir, name):
            remove_leftovers(settings.output_dir, job)
            log_to(logs.log_path(settings.output_dir, name), settings.verbose)
            return _process(settings, job, channel.send)

    run_task(work, channel, environment)


def report_participant(
    settings: Settings, subject: str, channel: Connection, environment: Mapping[str, str]
) -> None:
    """Write the reports of a participant (``sub-XX``); parameters as for :func:`run_session`."""
    from .reporting import update_neighbors, write_reports

    def work() -> Result:
        with report_lock(settings.output_dir, subject):
            log_to(logs.report_log_path(settings.output_dir, subject), settings.verbose)
            write_reports(settings, subject)
        update_neighbors(settings, subject)
        return Result("ok")

    run_task(work, channel, environment)


def run_task(work: Callable[[], Result], channel: Connection, environment: Mapping[str, str]) -> None:
    """Call a function in this subprocess and send its result."""
    end_with_parent()
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():  # the run has already ended
        os._exit(1)
    isolated.inherit_environment(environment)
    logging.raiseExceptions = False  # report a full disk once, not for each line of the log
    LOG.addHandler(logging.NullHandler())  # until the log file is open
    start = time.monotonic()
    try:
        result = work()
    except SessionLockedError as error:
        result = Result("locked", str(error))
    except Exception as error:  # every failure is reported to the parent process
        LOG.exception("the subprocess failed")
        result = Result("failed", describe_error(error))
    channel.send(replace(result, seconds=round(time.monotonic() - start, 1)))


def _process(settings: Settings, job: Job, send: Send) -> Result:
    """Run a session, write its reports, and write its record even if it fails."""
    from .reporting import update_neighbors

    start = time.monotonic()
    record, subject = job.record(), job.session.participant
    try:
        check(job, settings.assume_orientation)
        run_workflow(settings, job, record, send)
        record.status = "ok"
        record.segmentation = describe_segmentation(
            record, settings.output_dir, job.segmentation_identity(record)
        )
        _measure(settings, job, record)
        record.seconds = round(time.monotonic() - start, 1)
        with report_lock(settings.output_dir, subject):
            _write_reports(settings, subject, record, send)
            record.write(settings.output_dir)
    except Exception as error:
        LOG.exception("%s failed", record.name)
        record.status, record.error = "failed", describe_error(error)
        record.seconds = round(time.monotonic() - start, 1)
        with report_lock(settings.output_dir, subject):
            record.write(settings.output_dir)
            _report_failure(settings, subject, record)
        update_neighbors(settings, subject)
        return Result("failed", record.error)
    update_neighbors(settings, subject)
    if settings.clean_workdir:
        shutil.rmtree(session_work_folder(settings, job.session), ignore_errors=True)
    return Result("ok", None, record.flags, record.lesion_volume_ml)


def _write_reports(settings: Settings, subject: str, record: Record, send: Send) -> None:
    """Write the reports of a participant, as the last step of one of its sessions."""
    from .reporting import write_reports

    start = time.monotonic()
    send(Step(REPORT, "start", 0))
    write_reports(settings, subject, record)
    step = Step(REPORT, "end", time.monotonic() - start)
    step.add_to(record)
    send(step)


def _report_failure(settings: Settings, subject: str, record: Record) -> None:
    from .reporting import write_reports

    try:
        write_reports(settings, subject, record)
    except Exception:  # the session has already failed, possibly in its report
        LOG.exception("the report of %s failed", subject)


def check(job: Job, orientation: str | None = None) -> None:
    """Check the headers of the scans of a session, and its masks, before slow imports.

    The first steps of the workflow read and check the voxels of the scans. ``orientation`` is assumed
    for files in the space of a scan whose headers define none.

    Raises
    ------
    ImageError
        If an image cannot be used.
    """
    session = job.session
    scans = set(session.images.values())
    assumed = None if session.in_template else orientation
    for path in session.files(job.card):
        (image.check_header if path in scans else image.load_supplied)(path, assumed)


def _measure(settings: Settings, job: Job, record: Record) -> None:
    """Add the lesion volume and the failed QC checks to the record."""
    from bids_stroke.atlases.maps import Maps
    from bids_stroke.cohort.table import session_row, volume_ml
    from bids_stroke.qc.checks import run_checks

    images = {contrast: job.session.images[contrast] for contrast in job.session.processed(job.card)}
    row = session_row(settings.output_dir, record)
    record.lesion_volume_ml = float(volume_ml(row))
    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    record.flags = run_checks(
        row,
        images,
        job.card.trained_range if job.card else None,
        [*job.session.files(job.card), *maps.files],
        settings.assume_orientation,
    )


def end_with_parent() -> None:
    """Exit this process together with its parent, even if that is killed (Linux: PR_SET_PDEATHSIG)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def log_to(path: Path, verbose: int) -> None:
    """Write the messages of this subprocess to a log file."""
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("bids_stroke", "nipype"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
