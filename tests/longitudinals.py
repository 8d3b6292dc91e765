"""Derivatives of several sessions of a participant: a textured head that moves, with ball lesions."""

import derived
import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.bids.names import derivative, folder_of
from bids_stroke.bids.record import Record
from bids_stroke.lesion import measurements
from bids_stroke.settings import Settings

ZOOMS = (3, 3, 3)
#: Structures that a rotation of the ellipsoid head moves: center (mm) and radii (mm).
STRUCTURES = (
    ((20, 30, 10), (15, 12, 18)),
    ((-25, -30, 5), (12, 15, 14)),
    ((10, -50, -20), (16, 12, 12)),
    ((-15, 40, -25), (14, 14, 10)),
    ((40, -10, 30), (10, 14, 12)),
)


def motion(angles_deg, shift_mm):
    """Return a rigid motion of points (RAS, mm)."""
    return from_matvec(euler2mat(*np.deg2rad(angles_deg)), shift_mm)


def session(out, name, lesions=(), moved=None, seed=0, interval=None, **fields):
    """Write the image, the masks, the table and the record of a session with a T1w; return the record.

    Parameters
    ----------
    out : Path
    name : str
    lesions : sequence of (center, radius)
        Balls (mm) in the head before it moves.
    moved : ndarray, (4, 4), optional
        Motion of the head.
    seed : int
        Seed of the noise.
    interval : tuple of (float, float), optional
        95% interval of the lesion volume (ml).
    fields
        Fields of the record.
    """
    affine, size = derived.affine(ZOOMS), derived.shape(ZOOMS)
    head = np.linalg.inv(np.eye(4) if moved is None else moved) @ affine
    brain = derived.ball(head, 0, (60, 75, 60), size)
    lesion = sum((derived.ball(head, center, (r, r, r), size) for center, r in lesions), np.zeros(size))
    texture = sum(derived.ball(head, center, radii, size) for center, radii in STRUCTURES)
    t1w = 300 * derived.ball(head, 0, (70, 85, 70), size) + 500 * brain - 200 * texture - 300 * lesion
    t1w += np.random.default_rng(seed).normal(0, 10, size)
    folder, entities = folder_of(name), {"label": "L", "desc": "T1lesion"}
    images = {
        "image": (derivative(name, "T1w", desc="preproc"), t1w.astype(np.float32)),
        "brain_mask": (derivative(name, "mask", space="T1w", desc="brain"), brain > 0.5),
        "lesion_mask": (derivative(name, "mask", space="T1w", **entities), lesion > 0.5),
    }
    outputs = {}
    (out / folder).mkdir(parents=True)
    for role, (file, data) in images.items():
        data = data.astype(np.uint8) if data.dtype == bool else data
        nib.save(nib.Nifti1Image(data, affine), out / folder / file)
        outputs[role] = (folder / file).as_posix()
    table = measurements.measure(nib.load(out / outputs["lesion_mask"]))
    if interval:
        table = measurements.add_volume_intervals(table, {95: interval})
    path = folder / derivative(name, "morph", ".tsv", space="T1w", **entities)
    write_tsv(table.reset_index(), out / path)
    outputs["components"] = path.as_posix()
    content = {"model": "simstroke", "contrasts": ["T1w"], "reference": "T1w"} | fields
    record = Record(name, "identity", "ok", outputs=outputs, date="2026-01-01", **content)
    record.write(out)
    return record


def failed_session(out, name):
    """Write the record of a session whose processing failed."""
    Record(name, "identity", "failed", error="The image is damaged.").write(out)


def write_times(bids, subject, times):
    """Write the sessions.tsv of a participant."""
    (bids / subject).mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{session}\t{time}\n" for session, time in times.items())
    (bids / subject / f"{subject}_sessions.tsv").write_text(f"session_id\tacq_time\n{rows}")


def settings(root):
    """Return the settings of a participant run on the folders ``bids`` and ``out``."""
    folders = {"bids_dir": root / "bids", "output_dir": root / "out", "work_dir": root / "work"}
    return Settings(**folders, level="participant", bids_filters={}, tracts=())
