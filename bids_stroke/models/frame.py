"""Grid of a network's input: the brain in native space, or a window of the template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.spatial import image, linear_registration, templates, transforms
from bids_stroke.spatial.grid import bounding_box, regrid, resample
from bids_stroke.spatial.masks import at_least_half
from bids_stroke.utils.files import PathLike

MARGIN_MM = 8
NATIVE = "native"


@dataclass(frozen=True)
class Frame:
    """Grid of a network's input, with the transforms to it and back.

    Attributes
    ----------
    mask : nib.Nifti1Image
        Brain mask (uint8) on the grid.
    spacing : tuple of float
        Voxel size (mm).
    forward, backward : tuple of Path
        Transforms of images to the space of the grid and back; empty if the spaces are the same.
    """

    mask: nib.Nifti1Image
    spacing: tuple[float, ...]
    forward: tuple[Path, ...] = ()
    backward: tuple[Path, ...] = ()

    def channels(self, contrasts: Sequence[str], images: Mapping[str, nib.Nifti1Image]) -> np.ndarray:
        """Return the input of a network.

        Parameters
        ----------
        contrasts : sequence of str
            Contrasts of the network, in channel order.
        images : dict of str to nib.Nifti1Image
            Registered images by contrast.

        Returns
        -------
        ndarray, (channels, x, y, z), float32
            Standardized within the brain, zero outside. Channels of missing contrasts are zero.
        """
        channels = []
        for contrast in contrasts:
            if contrast in images:
                resampled = self.to_grid(images[contrast]).get_fdata(dtype=np.float32)
                channels.append(image.zscore(resampled, self.mask.dataobj))
            else:
                channels.append(np.zeros(self.mask.shape, np.float32))
        return np.stack(channels)

    def to_grid(self, img: nib.Nifti1Image) -> nib.Nifti1Image:
        """Antialias an image for the spacing, then interpolate it onto the grid."""
        coarse = regrid(img, self.spacing)
        if self.forward:
            return transforms.apply(coarse, self.mask, self.forward)
        return resample(coarse, self.mask)

    def label(self, mask: nib.Nifti1Image) -> np.ndarray:
        """Resample a lesion mask to the grid: brain voxels with a lesion fraction of at least half."""
        fraction = image.like(np.asanyarray(mask.dataobj) > 0, mask, np.float32)
        resampled = self.to_grid(fraction).get_fdata(dtype=np.float32)
        return at_least_half(resampled) & (np.asanyarray(self.mask.dataobj) > 0)

    def to_reference(self, probability: np.ndarray, reference: nib.Nifti1Image) -> nib.Nifti1Image:
        """Resample a probability (x, y, z) to the grid of ``reference``; zero outside the brain."""
        inside = probability * np.asanyarray(self.mask.dataobj)
        img = image.like(inside, self.mask, np.float32)
        if self.backward:
            return transforms.apply(img, reference, self.backward, "probability")
        return resample(img, reference)


def native(brain: nib.Nifti1Image, spacing: Sequence[float]) -> Frame:
    """Return a frame of the brain with a margin, in native space at ``spacing`` (mm)."""
    fine = regrid(image.like(np.asanyarray(brain.dataobj), brain, np.float32), spacing)
    inside = fine.get_fdata() > 0.5
    margin = np.ceil(MARGIN_MM / np.array(spacing)).astype(int)
    box = bounding_box(inside, margin)
    return Frame(_cut(image.like(inside, fine, np.uint8), box), tuple(spacing))


def template(
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    spacing: Sequence[float],
    window: Sequence[int] | None,
    folder: PathLike,
    aligned: bool = False,
) -> Frame:
    """Return a frame of the central part of the template's grid.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected image and its brain mask.
    spacing : sequence of float
        Voxel size (mm).
    window : sequence of int, or None
        Size (voxels) of the central part; None for the whole grid.
    folder : path
        Output folder for the affine transforms.
    aligned : bool
        Whether the images are already in template space.
    """
    grid = regrid(templates.template().brain, spacing, order=0)
    shape = np.array(grid.shape)
    size = np.minimum(window or shape, shape)
    low = (shape - size) // 2
    grid = _cut(grid, tuple(map(slice, low, low + size)))
    forward: tuple[Path, ...] = ()
    backward: tuple[Path, ...] = ()
    if not aligned:
        to_template, from_template = linear_registration.affine(img, brain, folder)
        forward, backward = (to_template,), (from_template,)
    window_frame = Frame(grid, tuple(spacing), forward, backward)
    inside = window_frame.to_grid(image.like(np.asanyarray(brain.dataobj) > 0, brain, np.float32))
    mask = image.like(at_least_half(inside.get_fdata()), grid, np.uint8)
    return Frame(mask, tuple(spacing), forward, backward)


def _cut(img: nib.Nifti1Image, box: tuple[slice, ...]) -> nib.Nifti1Image:
    shift = nib.affines.from_matvec(np.eye(3), [side.start for side in box])
    return nib.Nifti1Image(np.asanyarray(img.dataobj)[box].astype(np.uint8), img.affine @ shift)
