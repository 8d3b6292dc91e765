"""Where a network works: on the brain in native space, or in a window of the template."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.spatial import image, registration, templates, transforms
from bids_stroke.spatial.grid import regrid, resample

MARGIN_MM = 8
NATIVE = "native"


@dataclass(frozen=True)
class Frame:
    """A grid, and the way to it and back.

    Attributes
    ----------
    mask : nib.Nifti1Image
        uint8 brain mask on the grid.
    spacing : tuple of float
        mm.
    forward, backward : tuple of Path
        Transforms that bring images to the space of the grid and back; none where it is theirs.
    """

    mask: nib.Nifti1Image
    spacing: tuple
    forward: tuple[Path, ...] = ()
    backward: tuple[Path, ...] = ()

    def channels(self, contrasts, images):
        """Input of a network.

        Parameters
        ----------
        contrasts : sequence of str
            The network's, in order.
        images : dict of str to nib.Nifti1Image
            Contrast to image, all registered.

        Returns
        -------
        ndarray, (channels, x, y, z), float32
            Standardized inside the brain, zero outside and where a contrast is not there.
        """
        rows = []
        for contrast in contrasts:
            if contrast in images:
                moved = self.bring(images[contrast]).get_fdata(dtype=np.float32)
                rows.append(image.zscore(moved, self.mask.dataobj))
            else:
                rows.append(np.zeros(self.mask.shape, np.float32))
        return np.stack(rows)

    def bring(self, img):
        """Antialias an image towards the spacing, then interpolate it on the grid."""
        coarse = regrid(img, self.spacing)
        if self.forward:
            return transforms.apply(coarse, self.mask, self.forward)
        return resample(coarse, self.mask)

    def label(self, mask):
        """Bring a lesion mask to the grid: voxels of at least half lesion, within the brain."""
        fraction = image.like(np.asanyarray(mask.dataobj) > 0, mask, np.float32)
        moved = self.bring(fraction).get_fdata(dtype=np.float32)
        return (moved >= 0.5) & (np.asanyarray(self.mask.dataobj) > 0)

    def back(self, probability, reference):
        """Bring a probability (x, y, z) on the grid to a reference grid; none outside the brain."""
        inside = probability * np.asanyarray(self.mask.dataobj)
        img = image.like(inside, self.mask, np.float32)
        if self.backward:
            return transforms.apply(img, reference, self.backward, "probability")
        return resample(img, reference)


def native(brain, spacing):
    """The brain and a margin around it, in its own space, at ``spacing`` (mm)."""
    fine = regrid(image.like(np.asanyarray(brain.dataobj), brain, np.float32), spacing)
    inside = fine.get_fdata() > 0.5
    margin = np.ceil(MARGIN_MM / np.array(spacing)).astype(int)
    where = np.argwhere(inside)
    low, high = np.maximum(where.min(0) - margin, 0), where.max(0) + margin + 1
    return Frame(_cut(image.like(inside, fine, np.uint8), low, high), tuple(spacing))


def template(img, brain, spacing, window, folder, aligned=False):
    """The centre of the template's grid.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected image and its brain mask.
    spacing : sequence of float
        mm.
    window : sequence of int, or None
        Voxels of the centre that are kept; None for all.
    folder : path
        For the affine transforms.
    aligned : bool
        Whether the images are in the template's space already.
    """
    grid = regrid(templates.template().brain, spacing, order=0)
    shape = np.array(grid.shape)
    size = np.minimum(window or shape, shape)
    low = (shape - size) // 2
    grid = _cut(grid, low, low + size)
    forward = backward = ()
    if not aligned:
        one, other = registration.affine(img, brain, folder)
        forward, backward = (one,), (other,)
    there = Frame(grid, tuple(spacing), forward, backward)
    inside = there.bring(image.like(np.asanyarray(brain.dataobj) > 0, brain, np.float32))
    mask = image.like(inside.get_fdata() >= 0.5, grid, np.uint8)
    return Frame(mask, tuple(spacing), forward, backward)


def _cut(img, low, high):
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shift = nib.affines.from_matvec(np.eye(3), low)
    return nib.Nifti1Image(np.asanyarray(img.dataobj)[box].astype(np.uint8), img.affine @ shift)
