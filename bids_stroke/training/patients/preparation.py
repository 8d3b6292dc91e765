"""Preparation of the scans of patients with lesion masks; results are cached."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke import __version__
from bids_stroke.bids.discovery import find
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.supplied_masks import SuppliedMask, find_brain_masks
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.spatial import (
    bias,
    brain_extraction,
    grid,
    image,
    linear_registration,
    masks,
    transforms,
)
from bids_stroke.training.parallel import error_message, map_unordered
from bids_stroke.utils.files import PathLike

from .patient import Patient, alphanumeric

MASKS = ("brain", "lesion")
Reporter: TypeAlias = Callable[[str], object]


def prepare_patients(
    datasets: Sequence[tuple[Path, Path]],
    contrasts: Sequence[str],
    cache: PathLike,
    extraction: str,
    device: str = "cpu",
    processes: int = 1,
    report: Reporter = print,
    reference: str | None = None,
) -> list[Patient]:
    """Find and prepare the patients of several datasets, except those in the cache.

    Parameters
    ----------
    datasets : sequence of (Path, Path)
        BIDS datasets and the folders of their lesion masks (supported file names:
        :mod:`bids_stroke.bids.supplied_masks`).
    contrasts : sequence of str
        Contrasts that the network can use.
    cache : Path
        Folder for prepared scans.
    extraction : {"hd-bet", "deepbet", "none"}
        Method of brain extraction. Brain masks in the folder of the lesion masks take precedence.
    device : str
    processes : int
        Number of sessions that are prepared in parallel.
    report : callable
        Function that receives messages for the user.
    reference : str, optional
        Contrast on whose grid sessions are prepared, if they have it; by default, that of the
        participant level.

    Returns
    -------
    list of Patient
        Patients sorted by name.

    Raises
    ------
    DatasetError
        If no session can be used.
    UsageError
        If a folder does not exist, or several datasets have the same name.
    ResourceError
        If the package of the brain extraction is not installed.
    """
    brain_extraction.require_method(extraction)
    _check_names([folder for folder, _ in datasets])
    jobs = []
    for folder, labels in datasets:
        sites = _sites(folder)
        for session in _sessions(folder, labels, contrasts, report):
            jobs.append((folder.name, session, sites.get(session.participant), contrasts))
    prepared = map_unordered(
        prepare_session, [(*job, cache, extraction, device, reference) for job in jobs], processes
    )
    patients = []
    for number, (job, result) in enumerate(prepared, 1):
        name = f"{number} of {len(jobs)}: {job[1].name}"
        if isinstance(result, Exception):
            report(f"{name} is left out: {error_message(result)}")
            continue
        if not result.contrasts:
            report(f"{name} is left out: it has no {' or '.join(contrasts)}.")
            continue
        report(f"{name} is prepared.")
        patients.append(result)
    if not patients:
        raise DatasetError(
            f"No session of {', '.join(str(folder) for folder, _ in datasets)} has a lesion mask and "
            f"one of {', '.join(contrasts)}; check the paths and the file names of the masks."
        )
    return sorted(patients, key=lambda patient: patient.name)


def prepare_session(
    dataset: str,
    session: Session,
    site: str | None,
    contrasts: Sequence[str],
    cache: PathLike,
    extraction: str,
    device: str,
    reference: str | None = None,
) -> Patient:
    """Prepare a session with the steps of the participant level before segmentation.

    Returns
    -------
    Patient
    """
    name = f"{alphanumeric(dataset)}_{session.name}"
    folder = Path(cache) / name
    used = [c for c in session.images if c in contrasts]
    lesion = _lesion_mask(session)
    first = _reference(session, reference)
    key = _key(session, used, extraction, first)
    record_path = folder / "prepared.json"
    record = json.loads(record_path.read_text()) if record_path.is_file() else {}
    if record.get("key") != key:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            images = _images(session, first, used, extraction, device, Path(partial))
            complete = Path(partial) / name
            for kind, img in images.items():
                image.save(img, complete / f"{kind}.nii.gz")
            ml = np.count_nonzero(images["lesion"].dataobj) * grid.voxel_volume(images["lesion"])
            record = {"key": key, "lesion_ml": ml / 1000}
            (complete / record_path.name).write_text(json.dumps(record))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(complete, folder)
    return Patient(
        dataset=alphanumeric(dataset),
        subject=session.participant,
        session=split_session_name(session.name)[1] or "n/a",
        site=site or _site_of(session.subject) or alphanumeric(dataset),
        contrasts=tuple(used),
        lesion_ml=record["lesion_ml"],
        aligned=lesion.in_template,
        key=key,
        folder=folder,
    )


def _reference(session: Session, contrast: str | None) -> str:
    """Return the contrast of the reference image: the given one or, without it, the session's."""
    if _lesion_mask(session).in_template:
        return next(iter(session.images))
    return contrast if contrast in session.images else session.reference


def _images(
    session: Session, first: str, used: Sequence[str], extraction: str, device: str, folder: Path
) -> dict[str, nib.Nifti1Image]:
    """Return the prepared contrasts and masks on the grid of the image of contrast ``first``."""
    lesion = _lesion_mask(session)
    source = session.images[first]
    reference = image.conform(image.load_supplied(source))
    if session.brain_mask:
        brain = _supplied_brain_mask(session, first, reference, folder)
    else:
        brain = brain_extraction.extract(reference, extraction, device, source)
    corrected = bias.correct_bias(reference, brain)
    images = {first: corrected, "brain": brain}
    lesion_mask = masks.binarize(image.load_supplied(lesion.path))
    for contrast, path in session.images.items():
        if contrast == first or (contrast not in used and contrast != lesion.space):
            continue
        raw = image.conform(image.load_supplied(path))
        if lesion.in_template:
            inside = masks.resample_mask(brain, raw)
            images[contrast] = grid.resample(bias.correct_bias(raw, inside), reference)
            continue
        to, back = linear_registration.rigid(raw, corrected, brain, folder / contrast)
        inside = transforms.apply(brain, raw, [back], "mask")
        images[contrast] = transforms.apply(bias.correct_bias(raw, inside), reference, [to])
        if contrast == lesion.space:
            fitted = grid.fit_to_grid(lesion_mask, raw, path)
            images["lesion"] = transforms.apply(fitted, reference, [to], "mask")
    if "lesion" not in images:
        images["lesion"] = grid.fit_to_grid(lesion_mask, reference, source)
    return {kind: images[kind] for kind in (*used, *MASKS)}


def _supplied_brain_mask(
    session: Session, first: str, reference: nib.Nifti1Image, folder: Path
) -> nib.Nifti1Image:
    """Return the user-supplied brain mask on the grid of the reference image (contrast ``first``).

    The mask belongs to the session's own reference image.
    """
    assert session.brain_mask is not None
    supplied = image.load_supplied(session.brain_mask)
    if _lesion_mask(session).in_template or first == session.reference:
        return masks.fit_brain_mask(supplied, reference, session.images[first])
    source = session.images[session.reference]
    masked = image.conform(image.load_supplied(source))
    brain = masks.fit_brain_mask(supplied, masked, source)
    _, back = linear_registration.rigid(reference, masked, brain, folder / "brain")
    return transforms.apply(brain, reference, [back], "mask")


def _lesion_mask(session: Session) -> SuppliedMask:
    """Return the lesion mask of a session; all sessions for training have one."""
    assert session.lesion is not None
    return session.lesion


def _check_names(folders: Sequence[Path]) -> None:
    """Check that the names of datasets, which are part of the names of their sessions, differ."""
    names = [alphanumeric(folder.name) for folder in folders]
    for name, folder in zip(names, folders, strict=True):
        if names.count(name) > 1:
            raise UsageError(
                f"Several datasets have the name of the folder {folder}; give each dataset once, and "
                "rename folders with the same name."
            )


def _sessions(folder: Path, labels: Path, contrasts: Sequence[str], report: Reporter) -> list[Session]:
    """Find the sessions with a lesion mask and an image in its space."""
    for path in (folder, labels):
        if not path.is_dir():
            raise UsageError(
                f"{path} is not a folder; give the folders of BIDS datasets and lesion masks."
            )
    folder, labels = folder.resolve(), labels.resolve()
    has_brain_masks = bool(find_brain_masks([labels]))
    sessions, excluded = find(
        folder,
        lesion_derivatives=labels,
        contrasts=contrasts,
        derivatives=(labels,) if has_brain_masks else (),
    )
    for item in excluded:
        report(f"{item.name} is left out: {item.reason}")
    for session in sessions:
        if not session.images:
            report(f"{session.name} is left out: it has a lesion mask but no image in the same space.")
    return [session for session in sessions if session.images]


def _sites(folder: Path) -> dict[str, str]:
    """Return the site of each participant if participants.tsv has a site column."""
    path = folder / "participants.tsv"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str)
    names = map(str, table.columns)
    column = next((name for name in names if name.lower() in ("site", "site_id", "center")), None)
    return dict(zip(table["participant_id"], table[column], strict=True)) if column else {}


def _site_of(subject: str) -> str | None:
    """Return the site in a subject label of ATLAS v2.0 (``r001`` in ``r001s001``)."""
    site, _, number = subject.partition("s")
    return site if site[:1] == "r" and site[1:].isdigit() and number.isdigit() else None


def _key(session: Session, used: Sequence[str], extraction: str, reference: str) -> str:
    """Return the cache key of the prepared images."""
    paths = [*session.images.values(), _lesion_mask(session).path, session.brain_mask]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path]
    content = [__version__, stats, used, reference, extraction]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
