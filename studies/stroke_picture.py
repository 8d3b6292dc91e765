"""Make the picture of real strokes in docs/pictures, with the masks of two models.

    python studies/real_heads.py OUT stroke stripped --models PREVIOUS CURRENT
    python studies/stroke_picture.py OUT PREVIOUS CURRENT

PREVIOUS and CURRENT are the names of the models, or those of their cards without the extension. The
scans are two T2w of patients of the Aphasia Recovery Cohort (OpenNeuro ds004884, CC0) and the FLAIR of
a third patient (NiiVue, BSD-2-Clause).
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

SCANS = {  # dataset of real_heads.py, and contrast
    "sub-M2265": ("stroke", "T2w"),
    "sub-M2208": ("stripped", "T2w"),
    "sub-F1": ("stripped", "FLAIR"),
}
SLICES = 6
STYLES = {"colors": "deepskyblue", "linestyles": "dashed"}, {"colors": "red"}  # previous, current


def panels(folder, name, contrast, models):
    """Yield image, masks and aspect ratio of axial slices through the lesion, cropped to the brain."""
    lesion = f"{name}_space-{contrast}_label-L_desc-{contrast.removesuffix('w')}lesion_mask.nii.gz"
    anats = [folder / f"derivatives-{model}" / name / "anat" for model in models]
    paths = [
        anats[0] / f"{name}_desc-preproc_{contrast}.nii.gz",
        anats[0] / f"{name}_space-{contrast}_desc-brain_mask.nii.gz",
        *(anat / lesion for anat in anats),
    ]
    scan, brain, *lesions = (image.conform(image.load(path)) for path in paths)
    box = bounding_box(np.asarray(brain.dataobj) > 0, 4)
    data, masks = scan.get_fdata()[box], [np.asarray(img.dataobj)[box] > 0 for img in lesions]
    sizes = voxel_sizes(scan.affine)
    ends = np.flatnonzero(np.any(masks, axis=(0, 1, 2)))[[0, -1]]
    brightest = np.percentile(data, 99.5)
    for level in np.linspace(*ends, SLICES + 2)[1:-1].round().astype(int):
        yield data[..., level].T / brightest, [m[..., level].T for m in masks], sizes[1] / sizes[0]


def main(folder, models):
    rows = [
        list(panels(folder / dataset, name, contrast, models))
        for name, (dataset, contrast) in SCANS.items()
    ]
    figure, axes = plt.subplots(2 * len(rows), SLICES, figsize=(12, 14.1), facecolor="black")
    for number, row in enumerate(rows):
        for column, (scan, masks, aspect) in enumerate(row):
            for axis in axes[2 * number : 2 * number + 2, column]:
                axis.imshow(scan, cmap="gray", origin="lower", vmin=0, vmax=1, aspect=aspect)
                axis.axis("off")
            for mask, style in zip(masks, STYLES, strict=True):
                axes[2 * number + 1, column].contour(mask, [0.5], linewidths=1, **style)
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0.02)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=60)
    save(buffer.getvalue(), "stroke")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
