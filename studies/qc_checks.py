"""What the QC checks (``bids_stroke/qc/checks.py``) see on real heads: agreement of T1w and FLAIR of
the same head and of two heads, and the brightest voxels of T1w images without contrast agent.

``python studies/qc_checks.py`` reads ``$BIDS_STROKE_SHARED`` (see docs/reliability.md).
"""

from tempfile import TemporaryDirectory

import numpy as np
from common import DATA

from bids_stroke.qc import image_quality
from bids_stroke.spatial import (
    bias,
    brain_extraction,
    image,
    linear_registration,
    templates,
    transforms,
)


def main():
    """Print one line for each image and each pair."""
    heads = DATA / "heads"
    flairs = sorted(heads.glob("ms/*_FLAIR.nii.gz"))
    t1ws = sorted(heads.glob("ms/*_T1W.nii.gz"))
    for path in (*t1ws, *sorted(heads.glob("ixi/*_ds.nii.gz")), *sorted(heads.glob("healthy/*T1w*"))):
        print(f"brightest over white matter\t{path.name}\t{_brightest(path):.2f}", flush=True)
    for number, (t1w, flair) in enumerate(zip(t1ws, flairs, strict=True)):
        other = flairs[(number + 2) % len(flairs)]
        for title, path in (("same head", flair), ("two heads", other)):
            names = f"{t1w.name} {path.name}"
            print(f"similarity, {title}\t{names}\t{_similarity(t1w, path):.3f}", flush=True)


def _prepared(path):
    """A head without bias field, and its brain mask."""
    head = image.conform(image.load(path))
    mask = brain_extraction.extract(head, "deepbet")
    return bias.correct_bias(head, mask), mask


def _brightest(path):
    img, mask = _prepared(path)
    with TemporaryDirectory() as folder:
        _, back = linear_registration.affine(img, mask, folder)
        white = image_quality.tissue_maps(templates.template().brain)["white"]
        white = transforms.apply(white, img, [back], "labels").get_fdata() > 0.5
    inside = np.asanyarray(mask.dataobj) > 0
    return image_quality.bright_ratio(img.get_fdata()[inside], img.get_fdata()[inside & white])


def _similarity(t1w, flair):
    """As the participant level measures it: on the grid of the FLAIR, in its brain."""
    reference, mask = _prepared(t1w)
    moving = image.conform(image.load(flair))
    with TemporaryDirectory() as folder:
        _, back = linear_registration.rigid(moving, reference, mask, folder)
        inside = transforms.apply(mask, moving, [back], "mask")
        moved = transforms.apply(reference, moving, [back])
    inside = np.asanyarray(inside.dataobj) > 0
    values = (bias.correct_bias(moving, image.like(inside, moving, np.uint8)), moved)
    return image_quality.mutual_information(
        *(one.get_fdata(dtype=np.float32)[inside] for one in values)
    )


if __name__ == "__main__":
    main()
