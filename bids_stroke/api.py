"""Segmentation and measurement of lesions in Python, for files, nibabel images and arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from .atlases import loads, location, regions, super_regions, tract_cards, tracts
from .bids.selection import choose_reference
from .compute import devices
from .errors import UsageError
from .lesion import measurements, postprocessing
from .models import brain_extraction as extraction
from .models import catalog, inference
from .settings import BRAIN_EXTRACTIONS, DEFAULT_MODEL, DEFAULT_TRACT
from .spatial import (
    bias,
    grid,
    image,
    linear_registration,
    masks,
    normalization,
    templates,
    transforms,
)
from .utils.files import PathLike

#: Scan or mask: path, nibabel image, or array (x, y, z).
Scan: TypeAlias = PathLike | SpatialImage | NDArray


@dataclass(frozen=True)
class Segmentation:
    """Result of :func:`bids_stroke.api.segment`; all images are on the grid of the reference image.

    Attributes
    ----------
    mask : nib.Nifti1Image of uint8
        Lesion mask.
    probability : nib.Nifti1Image of float32
        Lesion probability, zero outside the brain.
    brain : nib.Nifti1Image of uint8
        Brain mask.
    image : nib.Nifti1Image of float32
        Bias-corrected reference image.
    """

    mask: nib.Nifti1Image
    probability: nib.Nifti1Image
    brain: nib.Nifti1Image
    image: nib.Nifti1Image

    @property
    def volume_ml(self) -> float:
        """Lesion volume (ml)."""
        return np.count_nonzero(self.mask.dataobj) * grid.voxel_volume(self.mask) / 1000


@dataclass(frozen=True)
class Measurements:
    """Result of :func:`bids_stroke.api.measure`.

    Attributes
    ----------
    volume_ml : float
        Lesion volume (ml) on the grid of the mask.
    components : pandas.DataFrame
        The lesion and its components (:data:`bids_stroke.lesion.measurements.COLUMNS`).
    loads : pandas.DataFrame
        Tract loads by side (:data:`bids_stroke.atlases.load_columns.COLUMNS`).
    regions : pandas.DataFrame
        Lesion volumes in the super-regions (:data:`bids_stroke.atlases.regions.COLUMNS`).
    in_template : nib.Nifti1Image of uint8
        Lesion mask on the 1 mm grid of MNI152NLin2009aSym.
    """

    volume_ml: float
    components: pd.DataFrame
    loads: pd.DataFrame
    regions: pd.DataFrame
    in_template: nib.Nifti1Image


def segment(
    images: Mapping[str, Scan],
    *,
    affine: NDArray | None = None,
    brain: Scan | None = None,
    model: PathLike = DEFAULT_MODEL,
    brain_extraction: str = BRAIN_EXTRACTIONS[0],
    device: str = "auto",
) -> Segmentation:
    """Segment the lesion of a head.

    The steps are those of the participant level: brain extraction, bias correction, rigid registration
    of the contrasts, inference, and post-processing.

    Parameters
    ----------
    images : dict of str to path, nibabel image or ndarray, (x, y, z)
        Raw image of each contrast (``T1w``, ``FLAIR``, ``T2w``, ``TRACE``, ``ADC``), on any grids.
    affine : ndarray, (4, 4), optional
        Affine from voxels to coordinates (RAS, mm) of the images and masks that are arrays.
    brain : path, nibabel image or ndarray, optional
        Brain mask on the grid of the reference image, which is the T1w if there is one.
    model : str or path
        Name of a model, path of a model card, or ``nnunet:FOLDER``.
    brain_extraction : str
        Brain extraction without ``brain``: ``hd-bet``, ``deepbet``, ``nnunet:FOLDER``, or ``none`` for
        skull-stripped images.
    device : str
        ``auto``, ``cpu`` or a CUDA device.

    Returns
    -------
    Segmentation

    Raises
    ------
    UsageError
        If the model does not exist, or an array has no affine.
    ModelError
        If the model does not support these contrasts.
    ImageError
        If an image cannot be used.
    """
    card = catalog.load(model)
    used = card.select(tuple(images))
    reference = choose_reference(card, used, tuple(images))
    device = devices.resolve(device)
    with TemporaryDirectory() as name:
        folder = Path(name)
        scans = {
            contrast: _load(images[contrast], affine, folder / f"{contrast}.nii")
            for contrast in dict.fromkeys([reference, *used])
        }
        prepared, mask = _prepare(scans[reference], affine, brain, brain_extraction, device, folder)
        others = {
            contrast: _register(scans[contrast], prepared, mask, folder)
            for contrast in used
            if contrast != reference
        }
        contrasts = {contrast: others.get(contrast, prepared) for contrast in used}
        probability = inference.predict(card, contrasts, mask, prepared, device)
    lesion = postprocessing.threshold(
        np.asanyarray(probability.dataobj),
        card.threshold,
        card.min_component_mm3,
        grid.voxel_volume(probability),
    )
    results = image.like(lesion, prepared), probability, mask, prepared
    return Segmentation(*(image.restore(result, scans[reference]) for result in results))


def measure(
    lesion: Segmentation | Scan,
    scan: Scan | None = None,
    *,
    affine: NDArray | None = None,
    brain: Scan | None = None,
    tract: PathLike = DEFAULT_TRACT,
    brain_extraction: str = BRAIN_EXTRACTIONS[0],
    device: str = "auto",
) -> Measurements:
    """Measure a lesion: volume, components, tract loads and regions.

    Parameters
    ----------
    lesion : Segmentation, path, nibabel image or ndarray, (x, y, z)
        Result of :func:`bids_stroke.api.segment`, or a lesion mask. Without ``scan``, a mask is on the
        1 mm grid of MNI152NLin2009aSym.
    scan : path, nibabel image or ndarray, optional
        Raw image on the grid of the mask, which is normalized to the template.
    affine, brain, brain_extraction, device
        As for :func:`bids_stroke.api.segment`.
    tract : str or path
        Name of a tract, path of a tract card, or of a probability map with ``space-`` in its name.

    Returns
    -------
    Measurements

    Raises
    ------
    UsageError
        If the tract does not exist, or an array has no affine.
    ImageError
        If an image cannot be used, or the mask is not on the grid of the image or of the template.
    """
    card = tract_cards.load_card(tract)
    with TemporaryDirectory() as name:
        folder = Path(name)
        probability = None
        if isinstance(lesion, Segmentation):
            mask, prepared, inside, probability = map(
                image.conform, (lesion.mask, lesion.image, lesion.brain, lesion.probability)
            )
        elif scan is not None:
            head = _load(scan, affine, folder / "scan.nii")
            prepared, inside = _prepare(
                head, affine, brain, brain_extraction, devices.resolve(device), folder
            )
            mask = _load_mask(lesion, affine, prepared, folder)
        else:
            mask = _load_mask(lesion, affine, templates.template_grid(), folder)
            return _measure(mask, None, mask, [], card)
        forward, backward = normalization.normalize(prepared, inside, mask, folder)
        in_template = transforms.apply(mask, templates.template_grid(), [forward], "mask")
        return _measure(mask, probability, in_template, [backward], card)


def _measure(
    mask: nib.Nifti1Image,
    probability: nib.Nifti1Image | None,
    in_template: nib.Nifti1Image,
    to_template: list[Path],
    card: tract_cards.TractCard,
) -> Measurements:
    """Measure a lesion mask; ``to_template`` are the transforms of its points to the template."""
    points = apply_affine(mask.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0))
    locations = location.locate(transforms.move_points(points, to_template))
    table = measurements.measure(mask, probability, locations, location.measure_normalized(in_template))
    return Measurements(
        float(table["volume_ml"].loc["all"]),
        table,
        loads.measure_loads(in_template, tracts.load_tract(card), card),
        regions.measure_regions(in_template, super_regions.super_regions()),
        in_template,
    )


def _prepare(
    scan: nib.Nifti1Image,
    affine: NDArray | None,
    brain: Scan | None,
    method: str,
    device: str,
    folder: Path,
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Return the bias-corrected image and the brain mask, in RAS order."""
    head = image.conform(scan)
    if brain is None:
        mask = extraction.extract(head, method, device)
    else:
        mask = masks.fit_brain_mask(_load(brain, affine, folder / "brain.nii", is_mask=True), head)
    return bias.correct_bias(head, mask), mask


def _register(
    scan: nib.Nifti1Image, reference: nib.Nifti1Image, brain: nib.Nifti1Image, folder: Path
) -> nib.Nifti1Image:
    """Return another contrast, bias-corrected, on the grid of the reference image."""
    head = image.conform(scan)
    forward, backward = linear_registration.rigid(head, reference, brain, folder)
    corrected = bias.correct_bias(head, transforms.apply(brain, head, [backward], "mask"))
    return transforms.apply(corrected, reference, [forward])


def _load_mask(
    mask: Scan, affine: NDArray | None, reference: nib.Nifti1Image, folder: Path
) -> nib.Nifti1Image:
    """Return a lesion mask in RAS order on the grid of ``reference``."""
    supplied = _load(mask, affine, folder / "mask.nii", is_mask=True)
    return grid.fit_to_grid(masks.binarize(supplied), reference)


def _load(scan: Scan, affine: NDArray | None, path: Path, is_mask: bool = False) -> nib.Nifti1Image:
    """Load a scan or mask with the checks of files; those in memory are written to ``path`` first."""
    if isinstance(scan, np.ndarray):
        if affine is None:
            raise UsageError(
                f"The array {path.stem} has no affine; give the affine from voxels to mm as affine=."
            )
        scan = nib.Nifti1Image(image.to_storable(scan), affine)
    if isinstance(scan, SpatialImage):
        source = image.save(nib.Nifti1Image.from_image(scan), path)
    else:
        source = Path(scan)
    return image.load_supplied(source) if is_mask else image.load_scan(source)
