"""Make the picture of real strokes in docs/pictures: T2w with the mask of the embedded model.

    python studies/real_heads.py OUT stroke stripped
    python studies/stroke_picture.py OUT

The scans are of two patients of the Aphasia Recovery Cohort (OpenNeuro ds004884, CC0).
"""

import sys
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from nibabel.affines import voxel_sizes
from pictures import save

from bids_stroke.spatial import image
from bids_stroke.spatial.grid import bounding_box

PATIENTS = {"sub-M2265": "stroke", "sub-M2208": "stripped"}
SLICES = 6


def panels(anat, name):
    """Yield image, mask and aspect ratio of axial slices through the lesion, cropped to the brain."""
    kinds = "desc-preproc_T2w", "space-T2w_desc-brain_mask", "space-T2w_label-L_desc-T2lesion_mask"
    scan, brain, lesion = (image.conform(image.load(anat / f"{name}_{kind}.nii.gz")) for kind in kinds)
    box = bounding_box(np.asarray(brain.dataobj) > 0, 4)
    data, mask = scan.get_fdata()[box], np.asarray(lesion.dataobj)[box] > 0
    sizes = voxel_sizes(scan.affine)
    ends = np.flatnonzero(mask.any((0, 1)))[[0, -1]]
    brightest = np.percentile(data, 99.5)
    for level in np.linspace(*ends, SLICES + 2)[1:-1].round().astype(int):
        yield data[..., level].T / brightest, mask[..., level].T, sizes[1] / sizes[0]


def main(folder):
    rows = [
        list(panels(folder / dataset / "derivatives" / name / "anat", name))
        for name, dataset in PATIENTS.items()
    ]
    figure, axes = plt.subplots(2 * len(rows), SLICES, figsize=(12, 9.4), facecolor="black")
    for number, row in enumerate(rows):
        for column, (scan, mask, aspect) in enumerate(row):
            for line in (2 * number, 2 * number + 1):
                axes[line, column].imshow(
                    scan, cmap="gray", origin="lower", vmin=0, vmax=1, aspect=aspect
                )
                axes[line, column].axis("off")
            axes[2 * number + 1, column].contour(mask, [0.5], colors="red", linewidths=1)
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0.02)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=60)
    save(buffer.getvalue(), "stroke")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
