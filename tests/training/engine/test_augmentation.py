"""Random transforms keep image, label and brain mask together."""

import numpy as np
import torch

from bids_stroke.training.engine.augmentation import augment

LESION, BRAIN = 3.0, 1.0


def sample():
    """Head with a brain and a lesion at one side; the second channel lacks a part of the brain."""
    label, mask = (torch.zeros(1, 24, 28, 24, dtype=torch.bool) for _ in range(2))
    mask[:, 4:20, 4:24, 4:20] = True
    label[:, 6:11, 8:16, 8:16] = True
    image = mask * BRAIN + label * (LESION - BRAIN)
    incomplete = image.clone()
    incomplete[:, :, :, 12:] = 0
    return torch.cat([image, incomplete]), label, mask


def test_the_lesion_stays_at_its_place_in_the_image():
    image, label, mask = sample()
    centers = set()
    for seed in range(30):
        moved, moved_label, moved_mask = augment((image, label, mask), np.random.default_rng(seed))
        bright = moved[:1] > (LESION + BRAIN) / 2
        overlap = 2 * (bright & moved_label).sum() / (bright.sum() + moved_label.sum())
        assert overlap > 0.8 and not (moved_label & ~moved_mask).any()
        centers.add(tuple(moved_label.nonzero().float().mean(0).round().tolist()))
    assert {center[1] < 12 for center in centers} == {True, False} and len(centers) > 4


def test_voxels_without_data_have_no_noise():
    image, label, mask = sample()
    values = set()
    for seed in range(10):
        moved, _, moved_mask = augment((image, label, mask), np.random.default_rng(seed))
        outside = ~torch.nn.functional.max_pool3d(moved_mask.float(), 3, 1, 1).bool()
        assert not moved[:, outside[0]].any()
        assert (moved[1] == 0).sum() > (moved[0] == 0).sum()
        values.add(float(moved.std()))
    assert len(values) > 5


def test_a_seed_determines_the_transform():
    first, second = (augment(sample(), np.random.default_rng(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
