"""Scans of patients with lesion masks: found, prepared as a participant's, and kept in a cache."""

import hashlib
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from bids_stroke import __version__
from bids_stroke.bids.discovery import find
from bids_stroke.errors import DatasetError, StrokeError
from bids_stroke.models import frame
from bids_stroke.settings import Settings
from bids_stroke.spatial import bias, brain_extraction, grid, image, masks, registration, transforms
from bids_stroke.utils import files

MASKS = ("brain", "lesion")


@dataclass(frozen=True)
class Patient:
    """A prepared session.

    ``folder`` holds the bias-corrected ``contrasts`` and the masks ``brain`` and ``lesion``
    (``NAME.nii.gz``), all on one grid in RAS order; ``aligned`` tells whether it is in the template's
    space, and ``key`` changes with the files that it was made of.
    """

    dataset: str
    subject: str
    session: str
    site: str
    contrasts: tuple[str, ...]
    lesion_ml: float
    aligned: bool
    key: str
    folder: Path

    @property
    def name(self):
        """Name of the case, unique among datasets."""
        return self.folder.name

    def load(self, name):
        """Image of a contrast, or a mask."""
        return image.load(self.folder / f"{name}.nii.gz")


def gather(datasets, contrasts, cache, extraction, device="cpu", processes=1, tell=print):
    """Find and prepare the patients of some datasets; what was prepared before is kept.

    Parameters
    ----------
    datasets : sequence of (Path, Path)
        BIDS datasets, and where their lesion masks lie (the names that are known:
        :mod:`bids_stroke.bids.supplied_masks`).
    contrasts : sequence of str
        Those that a network may use.
    cache : Path
    extraction : {"hd-bet", "deepbet", "none"}
        Brain extraction; brain masks that lie with the lesion masks are taken instead.
    processes : int
        Sessions that are prepared side by side.
    tell : callable
        Takes a line for the user.

    Returns
    -------
    list of Patient

    Raises
    ------
    DatasetError
        If no patient is left.
    """
    jobs = []
    for folder, labels in datasets:
        sites = _sites(folder)
        for session in _sessions(folder, labels, contrasts, tell):
            jobs.append((folder.name, session, sites.get(f"sub-{session.subject}"), contrasts))
    prepared = each(prepare, [(*job, cache, extraction, device) for job in jobs], processes)
    patients = []
    for number, (job, result) in enumerate(prepared, 1):
        failed = isinstance(result, StrokeError)
        ending = f"left out: {result}" if failed else "prepared."
        tell(f"{number} of {len(jobs)}: {job[1].name} is {ending}")
        if not failed and result.contrasts:
            patients.append(result)
    if not patients:
        raise DatasetError(
            f"No session of {', '.join(str(folder) for folder, _ in datasets)} has a lesion mask and "
            f"any of {', '.join(contrasts)}; check the paths and the names of the masks."
        )
    return sorted(patients, key=lambda one: one.name)


def each(function, jobs, processes):
    """Call a function with each tuple of arguments, several side by side.

    Yields
    ------
    tuple
        The arguments, and the result or the :class:`StrokeError` that ended it; as they come.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(function, *job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except StrokeError as error:
                yield futures[future], error


def prepare(dataset, session, site, contrasts, cache, extraction, device):
    """Take a session through the steps of a participant up to the segmentation.

    Returns
    -------
    Patient
    """
    name = "_".join([plain(dataset), *session.name.split("_")])
    folder = Path(cache) / name
    used = [c for c in session.images if c in contrasts]
    key = _key(session, used, extraction)
    note = folder / "prepared.json"
    known = json.loads(note.read_text()) if note.is_file() else {}
    if known.get("key") != key:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            images = _images(session, used, extraction, device, Path(partial))
            kept = Path(partial) / name
            for kind, img in images.items():
                image.save(img, kept / f"{kind}.nii.gz")
            ml = np.count_nonzero(images["lesion"].dataobj) * grid.voxel_volume(images["lesion"])
            known = {"key": key, "lesion_ml": ml / 1000}
            (kept / note.name).write_text(json.dumps(known))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(kept, folder)
    return Patient(
        dataset=plain(dataset),
        subject=f"sub-{session.subject}",
        session=f"ses-{session.session}" if session.session else "n/a",
        site=site or _site_of(session.subject) or plain(dataset),
        contrasts=tuple(used),
        lesion_ml=known["lesion_ml"],
        aligned=session.lesion.in_template,
        key=key,
        folder=folder,
    )


def _images(session, used, extraction, device, folder):
    """Prepared contrasts and masks on the grid of the reference image."""
    first = next(iter(session.images)) if session.lesion.in_template else session.reference
    source = session.images[first]
    reference = image.conform(image.load(source))
    if session.brain_mask:
        mask = masks.fit_brain_mask(image.load(session.brain_mask), reference, source)
    else:
        mask = brain_extraction.extract(reference, extraction, device, source)
    corrected = bias.correct_bias(reference, mask)
    images = {first: corrected, "brain": mask}
    drawn = masks.binarize(image.load(session.lesion.path))
    for contrast in session.images:
        if contrast == first or (contrast not in used and contrast != session.lesion.space):
            continue
        raw = image.conform(image.load(session.images[contrast]))
        if session.lesion.in_template:
            inside = grid.resample(mask, raw, order=0)
            images[contrast] = grid.resample(bias.correct_bias(raw, inside), reference)
            continue
        to, back = registration.rigid(raw, corrected, mask, folder / contrast)
        inside = transforms.apply(mask, raw, [back], "mask")
        images[contrast] = transforms.apply(bias.correct_bias(raw, inside), reference, [to])
        if contrast == session.lesion.space:
            fitted = grid.fit_to_grid(drawn, raw, session.images[contrast])
            images["lesion"] = transforms.apply(fitted, reference, [to], "mask")
    if "lesion" not in images:
        images["lesion"] = grid.fit_to_grid(drawn, reference, source)
    return {kind: images[kind] for kind in (*used, *MASKS)}


def _sessions(folder, labels, contrasts, tell):
    for path in (folder, labels):
        if not path.is_dir():
            raise DatasetError(f"{path} is not a folder; give BIDS datasets and folders of masks.")
    settings = Settings(
        bids_dir=folder.resolve(),
        output_dir=folder / "derivatives",
        work_dir=folder / "derivatives",
        level="participant",
        bids_filters={},
        model="",
        derivatives=(labels.resolve(),),
        lesion_derivatives=labels.resolve(),
    )
    sessions, left_out = find(settings, contrasts=contrasts)
    for one in left_out:
        tell(f"{one.name} is left out: {one.reason}")
    kept = [one for one in sessions if one.images]
    for one in sessions:
        if not one.images:
            tell(f"{one.name} is left out: it has a lesion mask and no image in the same space.")
    return kept


def _sites(folder):
    """Site of each participant, where participants.tsv has a column of that name."""
    path = folder / "participants.tsv"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str)
    column = next((name for name in table if name.lower() in ("site", "site_id", "center")), None)
    return dict(zip(table["participant_id"], table[column], strict=True)) if column else {}


def _site_of(subject):
    """ATLAS v2.0 numbers subjects within research sites: r001s001."""
    site, _, number = subject.partition("s")
    return site if site[:1] == "r" and site[1:].isdigit() and number.isdigit() else None


def plain(name):
    """Letters and numbers of a name, as a dataset has it in tables and files."""
    return "".join(letter for letter in name if letter.isalnum()) or "dataset"


def _key(session, used, extraction):
    """What the prepared images depend on."""
    paths = [*session.images.values(), session.lesion.path, session.brain_mask]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path]
    content = [__version__, stats, used, session.reference, extraction]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def arrays(patient, contrasts, work, folder):
    """Bring a patient to a network's grid, once.

    Parameters
    ----------
    work : dict
        ``space``, ``spacing`` and ``window`` of the network, as in a card.
    folder : Path
        Receives the archive.

    Returns
    -------
    Path
        Of an uncompressed archive: ``image`` (channels, x, y, z) float16, ``label`` and ``mask``
        (x, y, z) bool.
    """
    made_of = hashlib.sha256(json.dumps([patient.key, list(contrasts), work]).encode()).hexdigest()
    path = folder / f"{patient.name}-{made_of[:12]}.npz"
    if path.is_file():
        return path
    images = {contrast: patient.load(contrast) for contrast in patient.contrasts}
    mask = patient.load("brain")
    with TemporaryDirectory() as transforms:
        if work["space"] == frame.NATIVE:
            there = frame.native(mask, work["spacing"])
        else:
            first = next(iter(images.values()))
            there = frame.template(
                first, mask, work["spacing"], work.get("window"), transforms, patient.aligned
            )
        content = {
            "image": there.channels(contrasts, images).astype(np.float16),
            "label": there.label(patient.load("lesion")),
            "mask": np.asanyarray(there.mask.dataobj) > 0,
        }
    with files.atomic(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **content)
    return path
