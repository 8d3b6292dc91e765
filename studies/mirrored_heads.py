"""Compare the template volume of a lesion with that of its mirror image.

    python studies/mirrored_heads.py [--heads 6] [--methods plain masked enantiomorphic]

An ellipsoid of 4 ml is marked as lesion in the left hemisphere of IXI heads; intensities are not
changed. Each head and its exact mirror image are normalized to the symmetric template. For the method
``enantiomorphic``, the head is normalized again with another random seed, which gives the lower limit
of differences. The script prints the volumes (ml) of the lesion in the template and their difference
(percent).

The script uses one thread, so that results are reproducible; a normalization takes one to two minutes.
Heads are read from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import os
from tempfile import TemporaryDirectory

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import nibabel as nib
import numpy as np
from common import DATA
from nibabel.affines import apply_affine

from bids_stroke.spatial import (
    bias,
    brain_extraction,
    image,
    normalization,
    templates,
    transforms,
)

CENTER_MM, RADII_MM = (-28, 0, 12), (12, 9, 9)  # from the center of the brain


def prepared(path, radii_mm=RADII_MM):
    """Return a bias-corrected head, its brain mask, and a lesion mask."""
    head = image.conform(image.load(path))
    brain = brain_extraction.extract(head, "deepbet")
    inside = np.asarray(brain.dataobj) > 0
    world = apply_affine(head.affine, np.moveaxis(np.indices(head.shape), 0, -1))
    distance = (world - world[inside].mean(0) - CENTER_MM) / radii_mm
    lesion = image.like(inside & (np.linalg.norm(distance, axis=-1) <= 1), head, np.uint8)
    return bias.correct_bias(head, brain), brain, lesion


def mirrored(img):
    """Mirror an image about x = 0 and keep its RAS orientation."""
    flip = np.diag([-1.0, 1, 1, 1])
    flip_voxels = flip.copy()
    flip_voxels[0, 3] = img.shape[0] - 1
    return nib.Nifti1Image(np.asanyarray(img.dataobj)[::-1].copy(), flip @ img.affine @ flip_voxels)


def template_ml(img, brain, lesion, method, seed=1):
    """Return the volume (ml) of a lesion in the template."""
    masked = lesion if method != "plain" else image.like(np.zeros(lesion.shape), lesion, np.uint8)
    target = templates.template().t1w
    with TemporaryDirectory() as folder:
        name = "masked" if method == "plain" else method
        forward, _ = normalization.normalize(img, brain, masked, folder, method=name, seed=seed)
        mask = transforms.apply(lesion, target, [forward], "mask")
    return np.count_nonzero(mask.dataobj) / 1000


def percent(first, second):
    """Return the difference of two volumes in percent of their mean."""
    return 200 * abs(first - second) / (first + second)


def main():
    """Print one line for each head and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--methods", nargs="+", default=["plain", "masked", "enantiomorphic"])
    arguments = parser.parse_args()
    for path in sorted((DATA / "heads" / "ixi").glob("*_ds.nii.gz"))[: arguments.heads]:
        head = prepared(path)
        mirror = [mirrored(img) for img in head]
        for method in arguments.methods:
            volumes = [template_ml(*images, method) for images in (head, mirror)]
            line = f"{path.name[:6]}\t{method}\t{volumes[0]:.3f}\t{volumes[1]:.3f}\t"
            line += f"{percent(*volumes):.1f} %"
            if method == "enantiomorphic":
                repeat = template_ml(*head, method, seed=2)
                line += f"\trepeat {repeat:.3f}\t{percent(volumes[0], repeat):.1f} %"
            print(line, flush=True)


if __name__ == "__main__":
    main()
