"""Page in which a rater corrects the lesion mask of a session, on the grid of the reference image.

The page is a self-contained HTML file with NiiVue. It contains the reference image near the brain, with
at most 256 gray levels and in RAS order, but never resampled; the other images of the session on its
grid; the mask; the lesion probability as steps of a threshold; and the contributions of the voxels to
the load of a tract. The corrected mask is saved in the axis order and with the header of the reference
image.
"""

import gzip
import json
import logging
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from bids_stroke import __version__
from bids_stroke.atlases.maps import Maps
from bids_stroke.atlases.native_loads import Weights, native_weights
from bids_stroke.atlases.tracts import load_tract
from bids_stroke.bids import corrections
from bids_stroke.bids.names import sidecar_of
from bids_stroke.bids.record import Record, model_title
from bids_stroke.reports.figures.palette import LESION
from bids_stroke.reports.rendering import render
from bids_stroke.settings import DEFAULT_TRACT
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import voxel_volume
from bids_stroke.spatial.headers import shape_of
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike, checksum

from . import niivue
from .layers import LEVELS, MARGIN_MM, RAMP, Layer, background, encode
from .native import DrawingField, drawing_field, mask_header, stored_order
from .page import drawing_name
from .session import SessionFiles

LOG = logging.getLogger("bids_stroke")

MAX_BYTES = 14_500_000  # maximum size of the data of a page, for files below 15 MB
MAX_VOXELS = 64_000_000  # a browser needs about 15 bytes for each voxel
#: Threshold of sessions whose masks state none.
_DEFAULT_THRESHOLD = 0.5


def drawing_path(out_dir: PathLike, session_name: str) -> Path:
    """Return the path of the drawing page of a session."""
    return Path(out_dir) / drawing_name(session_name)


def write_drawing(out_dir: PathLike, record: Record, tracts: Sequence[str] = (DEFAULT_TRACT,)) -> Path:
    """Write the drawing page of a session to the folder of the participant report.

    If the mask cannot be corrected in a browser, the page states the reason, which is also logged.

    Parameters
    ----------
    out_dir : path
        Folder of the derivatives.
    record : Record
        Record of a session that was processed successfully.
    tracts : sequence of str
        Tracts of the run. The page shows the load of the first tract with an axis in which the session
        was measured.

    Returns
    -------
    Path
        ``out_dir/sub-XX[_ses-YY]_drawing.html``.
    """
    out_dir = Path(out_dir)
    scene: dict[str, Any] = {}
    problem = _refusal(out_dir, record)
    if not problem:
        field = _load_field(out_dir, record)
        problem = _size_problem(field)
        scene = {} if problem else _scene(out_dir, record, field, tracts)
        if scene and _size(scene) > MAX_BYTES:
            problem, scene = _too_large(field), {}
    if problem:
        LOG.warning("%s: %s", record.name, problem)
    return render(
        "drawing.html",
        drawing_path(out_dir, record.name),
        title=record.name,
        scene=scene,
        problem=problem,
        niivue=niivue.encoded_library() if scene else "",
        license=niivue.license_text() if scene else "",
        colors=RAMP,
        margin=MARGIN_MM,
        version=__version__,
    )


def _refusal(out_dir: Path, record: Record) -> str | None:
    """Return why a session has no mask on the grid of its reference image, or None."""
    if SessionFiles(out_dir, record).in_template:
        return (
            f"The mask of this session is in the space {record.reference}, so there is no scan to "
            "correct it on; correct the original mask in the program that drew it."
        )
    if not (record.path(out_dir, "image") and record.path(out_dir, "lesion_mask")):
        return (
            "This session has no reference image with a lesion mask, so there is no mask to correct; "
            "run the participant level again."
        )
    return None


def _load_field(out_dir: Path, record: Record) -> DrawingField:
    img, brain = SessionFiles(out_dir, record).reference()
    return drawing_field(img, brain, image.load(record.require(out_dir, "lesion_mask")))


def _size_problem(field: DrawingField) -> str | None:
    return _too_large(field) if field.mask.size > MAX_VOXELS else None


def _too_large(field: DrawingField) -> str:
    sides = " x ".join(map(str, field.mask.shape))
    return (
        f"The reference image has {sides} voxels around the brain, which is too large for a page that "
        "opens in a browser; correct the mask in another program and supply it as a lesion mask."
    )


def _size(content: object) -> int:
    return len(niivue.encoded_library()) + len(json.dumps(content))


def _scene(out_dir: Path, record: Record, field: DrawingField, tracts: Sequence[str]) -> dict[str, Any]:
    """Return the data of the page."""
    img = image.load(record.require(out_dir, "image"))
    first, steps = stored_order(img, field.box)
    reference = str(record.reference)
    contrasts = SessionFiles(out_dir, record).contrasts(field.img)
    layers = [background(title, img, field.near, field.brain_img) for title, img in contrasts.items()]
    scene: dict[str, Any] = {
        "session": record.name,
        "images": [],
        "color": LESION,
        "mask": _pack(field.mask),
        "voxel_mm3": voxel_volume(img),
        "probability": _probability(out_dir, record, field),
        "tract": _tract(out_dir, record, field, tracts),
        "stored": {"first": first, "steps": steps, "size": int(np.prod(shape_of(img)))},
        "header": b64encode(mask_header(img, record.inputs.get(reference))).decode(),
        "file": corrections.corrected_mask_name(record.name, reference),
        "sidecar": _sidecar(out_dir, record, img),
        "keys": {
            "rater": corrections.RATER,
            "date": corrections.DATE,
            "image": corrections.REFERENCE_IMAGE,
            "source": corrections.SOURCE_MASK_SHA256,
            "checksum": corrections.MASK_SHA256,
        },
    }
    scene["images"] = _encode_images(layers, MAX_BYTES - _size(scene))
    return scene


def _encode_images(layers: Sequence[Layer], max_bytes: int) -> list[dict[str, Any]]:
    """Encode images with as many gray levels as fit, and without the last ones if none fits.

    The first image is always encoded.
    """
    for count in range(len(layers), 0, -1):
        for levels in LEVELS:
            images = [
                {
                    "title": layer.title,
                    "data": encode(_unrotated(layer.img), levels),
                    "low": layer.low,
                    "high": layer.high,
                }
                for layer in layers[:count]
            ]
            if len(json.dumps(images)) <= max_bytes:
                return images
    return images


def _unrotated(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image with the voxel sizes of ``img``, whose axes NiiVue does not reorder."""
    return nib.Nifti1Image(np.asanyarray(img.dataobj), np.diag([*voxel_sizes(img.affine), 1]))


def _sidecar(out_dir: Path, record: Record, img: nib.Nifti1Image) -> dict[str, Any]:
    """Return the sidecar of the corrected mask without the rater and the date."""
    source = record.require(out_dir, "lesion_mask")
    reference = record.inputs.get(str(record.reference)) or record.require(out_dir, "image")
    return {
        corrections.REFERENCE_IMAGE: Path(reference).name,
        corrections.REFERENCE_SHAPE: list(shape_of(img)),
        corrections.REFERENCE_AFFINE: img.affine.tolist(),
        corrections.MODEL: model_title(record.model) or "n/a",
        corrections.MODEL_IDENTITY: record.weights_sha256 or "n/a",
        corrections.SOURCE_MASK: source.name,
        corrections.SOURCE_MASK_SHA256: checksum(source),
        corrections.SOFTWARE: f"bids_stroke {__version__}",
    }


def _probability(out_dir: Path, record: Record, field: DrawingField) -> dict[str, Any] | None:
    """Return the lesion probability as the number of thresholds that each voxel reaches."""
    model = "model_" if record.corrected_by else ""
    path = record.path(out_dir, f"{model}lesion_probability")
    if path is None:
        return None
    sidecar = sidecar_of(record.require(out_dir, f"{model}lesion_mask"))
    stated = json.loads(sidecar.read_text()) if sidecar.is_file() else {}
    start = float(stated.get("Threshold", _DEFAULT_THRESHOLD))
    thresholds = sorted({*(np.arange(1, 100) / 100), start})
    data = np.asanyarray(image.conform(image.load(path)).dataobj)[field.box]
    # A comparison of an array with a number is in the precision of the array.
    reached = np.searchsorted(np.array(thresholds, data.dtype), data.ravel(), side="right")
    counts = image.like(reached.reshape(data.shape), field.img, np.uint8)
    return {
        "thresholds": thresholds,
        "start": thresholds.index(start),
        "min_component_mm3": float(stated.get("MinimumComponentVolume", 0)),
        "data": encode(_unrotated(counts)),
    }


def _tract(
    out_dir: Path, record: Record, field: DrawingField, tracts: Sequence[str]
) -> dict[str, Any] | None:
    """Return the contributions of voxels to the load of the first tract with an axis."""
    measured = record.paths(out_dir, "loads")
    transform = record.path(out_dir, "transform_to_template", TEMPLATE)
    cards = [card for card in Maps(tuple(tracts)).cards if card.axis and card.atlas in measured]
    if not (cards and cards[0].axis and transform):
        return None
    card = cards[0]
    weights = native_weights(load_tract(card), str(card.axis), field.img, [transform])
    return {"name": card.name, "sides": {side: _encode_weights(weights[side]) for side in "LR"}}


def _encode_weights(weights: Weights) -> dict[str, Any]:
    """Encode contributions as 16-bit integers, and positions as differences."""
    scale = float(weights.ml.max(initial=0)) / np.iinfo(np.uint16).max or 1.0
    return {
        "steps": _pack(np.diff(weights.voxels, prepend=0).astype("<u4")),
        "ml": _pack(np.round(weights.ml / scale).astype("<u2")),
        "scale": scale,
    }


def _pack(array: NDArray) -> str:
    """Encode an array, x fastest, as gzip in Base64."""
    return b64encode(gzip.compress(array.tobytes(order="F"), mtime=0)).decode()
