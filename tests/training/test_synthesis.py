"""Simulated lesions must stay in the brain, look dark, and land where they were drawn."""

from importlib.resources import files

import numpy as np
import pytest
import yaml
from scipy import ndimage

from bids_stroke.training import datasets, synthesis

RECIPE = yaml.safe_load(
    (files("bids_stroke") / "data" / "recipes" / "simstroke-t1w.yaml").read_text()
)
RANGES = RECIPE["synthesis"]
SHAPE = (40, 48, 40)


def ball(centre, radius, shape=SHAPE):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


@pytest.fixture
def head():
    """A ball of white matter with a fluid-filled ventricle."""
    mask = ball((20, 24, 20), 17)
    ventricles = ball((20, 24, 20), 4)
    image = np.where(ventricles, 0.2, 1.0) * mask
    return image.astype(np.float32), mask, ventricles


@pytest.mark.parametrize("share", [0, 1], ids=["chronic", "subacute"])
def test_paste_darkens_the_lesion_and_respects_brain_and_ventricles(head, share):
    image, mask, ventricles = head
    lesion = ball((30, 24, 20), 9).astype(np.float32)
    rng = np.random.default_rng(3)
    pasted, label = synthesis.paste(
        image, mask, ventricles, lesion, 0.2, rng, RANGES | {"subacute_share": share}
    )
    assert label.any() and not (label & ~mask).any() and not (label & ventricles).any()
    assert (pasted[~mask] == image[~mask]).all()
    assert pasted[label].mean() < (0.75 if share == 0 else 0.95)
    far = mask & (ndimage.distance_transform_edt(~(lesion > 0)) > 12)
    np.testing.assert_array_equal(pasted[far], image[far])


def test_paste_of_nothing_changes_nothing(head):
    image, mask, ventricles = head
    pasted, label = synthesis.paste(
        image, mask, ventricles, np.zeros(SHAPE), 0.2, np.random.default_rng(0), RANGES
    )
    assert not label.any()
    np.testing.assert_array_equal(pasted, image)


def test_simulate_is_standardized_inside_the_mask_and_reproducible(head):
    lesion = [ball((28, 24, 20), 5).astype(np.float32)]
    for seed in range(5):
        image, label, mask = synthesis.simulate(*head, lesion, np.random.default_rng(seed), RANGES)
        assert np.isfinite(image).all() and not (label & ~mask).any()
        assert (image[~mask] == 0).all()
        assert image[mask].mean() == pytest.approx(0, abs=1e-3)
        assert image[mask].std() == pytest.approx(1, abs=1e-3)
    again, _, _ = synthesis.simulate(*head, lesion, np.random.default_rng(seed), RANGES)
    np.testing.assert_array_equal(image, again)


def test_simulate_without_lesion_has_an_empty_label(head):
    _, label, _ = synthesis.simulate(*head, [], np.random.default_rng(1), RANGES)
    assert not label.any()


def test_widening_only_darkens_tissue(head):
    image, mask, ventricles = head
    wide = synthesis.widen(
        image, ventricles, np.float32(1), 0.2, np.random.default_rng(0), RANGES
    )
    assert (wide[mask] <= image[mask] + 1e-5).all()
    assert (wide[mask] < 0.5).sum() > ventricles.sum()


def test_bounding_box_is_clipped_to_the_image():
    mask = np.zeros((10, 10, 10), bool)
    mask[1:3, 4, 9] = True
    assert synthesis.bounding_box(mask, 2) == (slice(0, 5), slice(2, 7), slice(7, 10))


def test_sample_at_agrees_with_scipy():
    rng = np.random.default_rng(0)
    volume = rng.random((1, 12, 15, 9), dtype=np.float32)
    mapping = datasets.shift([2, 1, 0.5]) @ datasets.rotation([10, -5, 20])
    expected = ndimage.affine_transform(
        volume[0], mapping[:3, :3], mapping[:3, 3], output_shape=(8, 7, 6), order=1
    )
    found = datasets.sample_at(volume, mapping, (8, 7, 6))[0]
    assert found.shape == (8, 7, 6)
    # scipy drops what lies even a little outside; grid_sample fades it out.
    inner = expected > 0
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)


def test_a_lesion_lands_at_its_place_in_template_space():
    still = RANGES | {"lesion_scale": [1, 1], "lesion_rotation": 0, "lesion_shift": 0}
    # A ball of 4 mm around (-16, 10, 5) mm.
    mask = ball((5, 5, 5), 4, (11, 11, 11)).astype(np.float32)[None]
    lesion = datasets.Lesion("ball", mask, datasets.shift([-21, 5, 0]), 0.3)
    brain = datasets.Brain("b", None, datasets.shift([-39, -47, -39]), None, np.eye(4))
    mapping = datasets.scale([2, 2, 2])  # tile voxels of 2 mm
    sides = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        placed = datasets.place(lesion, brain, mapping, (40, 48, 40), rng, still)
        x, y, z = 2 * np.array(ndimage.center_of_mass(placed)) + [-39, -47, -39]
        assert (abs(x), y, z) == pytest.approx((16, 10, 5), abs=0.7)
        sides.add(np.sign(x))
    assert sides == {-1, 1}


def test_split_is_disjoint_complete_and_repeatable():
    names = [f"sub-{i:02}" for i in range(40)]
    parts = datasets.split(names, validation=3, test=0.1, seed=1)
    assert [len(part) for part in parts] == [33, 3, 4]
    assert sorted(name for part in parts for name in part) == names
    assert parts == datasets.split(names, validation=3, test=0.1, seed=1)
