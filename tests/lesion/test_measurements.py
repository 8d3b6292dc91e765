import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.lesion import components, measurements, postprocessing
from bids_stroke.spatial import masks


def image(array, affine=None):
    return nib.Nifti1Image(array, np.eye(4) if affine is None else affine)


def test_threshold_includes_its_own_value():
    probability = np.array([0.0, 0.19, 0.2, 0.21], np.float32).reshape(4, 1, 1)
    mask = postprocessing.threshold(probability, 0.2, 0, 1.0)
    assert mask.dtype == np.uint8
    assert mask.ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("voxel_mm3, expected", [(1.0, True), (0.9999999, True), (0.99, False)])
def test_a_component_of_exactly_the_minimum_size_is_kept(voxel_mm3, expected):
    probability = np.zeros((12, 3, 3))
    probability[:10, 1, 1] = 1  # ten voxels
    assert postprocessing.threshold(probability, 0.5, 10, voxel_mm3).any() == expected


def test_only_small_components_are_removed():
    probability = np.zeros((9, 3, 3))
    probability[0:3, 1, 1] = 0.9  # three voxels of 4 mm³
    probability[5:7, 1, 1] = 0.9  # two voxels
    mask = postprocessing.threshold(probability, 0.5, 12, 4.0)
    assert np.argwhere(mask)[:, 0].tolist() == [0, 1, 2]


def test_threshold_of_an_empty_probability():
    assert not postprocessing.threshold(np.zeros((3, 3, 3)), 0.2, 10, 1.0).any()


def test_components_join_at_corners():
    mask = np.zeros((4, 4, 4))
    mask[0, 0, 0] = mask[1, 1, 1] = 1  # one component with 26-connectivity, two with 6
    assert components.components(mask)[1] == 1
    assert ndimage.label(mask)[1] == 2


def test_components_are_sorted_by_size():
    mask = np.zeros((20, 3, 3))
    for start, size in ((0, 2), (4, 5), (11, 3), (16, 3)):
        mask[start : start + size, 1, 1] = 1
    labels, count = components.components(mask)
    assert count == 4
    # Runs of 2, 5, 3 and 3 voxels; runs of equal size keep their order.
    assert [labels[x, 1, 1] for x in (0, 4, 11, 16)] == [4, 1, 2, 3]
    assert np.bincount(labels.ravel())[1:].tolist() == [5, 3, 3, 2]


def test_components_of_an_empty_mask():
    labels, count = components.components(np.zeros((3, 3, 3)))
    assert count == 0 and not labels.any()


def test_measure_by_hand():
    mask = np.zeros((6, 4, 4), np.uint8)
    mask[0:2, 1, 1] = 1
    mask[4, 2, 3] = 1
    probability = np.zeros(mask.shape, np.float32)
    probability[0, 1, 1], probability[1, 1, 1], probability[4, 2, 3] = 0.25, 0.75, 0.5
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = -10, -20, -30
    table = measurements.measure(image(mask, affine), image(probability, affine))

    assert table.index.tolist() == ["all", 1, 2]
    assert [table.index.name, *table.columns] == list(measurements.COLUMNS)
    # Voxels of 2 · 3 · 4 = 24 mm³.
    assert table["voxels"].tolist() == [3, 2, 1]
    assert table["volume_mm3"].tolist() == pytest.approx([72, 48, 24])
    assert table["volume_ml"].tolist() == pytest.approx([0.072, 0.048, 0.024])
    # The mean voxel of component 1 is (0.5, 1, 1), of 2 (4, 2, 3), of all (5/3, 4/3, 5/3).
    assert table.loc[1, ["x_mm", "y_mm", "z_mm"]].tolist() == [-9, -17, -26]
    assert table.loc[2, ["x_mm", "y_mm", "z_mm"]].tolist() == [-2, -14, -18]
    center = [2 * 5 / 3 - 10, 3 * 4 / 3 - 20, 4 * 5 / 3 - 30]
    np.testing.assert_allclose(table.loc["all", ["x_mm", "y_mm", "z_mm"]].astype(float), center)
    assert table["max_probability"].tolist() == [0.75, 0.75, 0.5]
    assert table["mean_probability"].tolist() == [0.5, 0.5, 0.5]
    assert table.loc[:, "hemisphere":].isna().all(axis=None)
    assert table[["x_template_mm", "y_template_mm", "z_template_mm"]].isna().all(axis=None)


def locations_of(points, region="R1", ventricle=False, surface=False):
    """Table of :func:`bids_stroke.atlases.location.locate` for given points."""
    table = pd.DataFrame(points, columns=["x", "y", "z"], dtype=float)
    return table.assign(super_region=region, ventricle=ventricle, surface=surface)


def test_measure_with_template_locations():
    mask = np.zeros((6, 4, 4), np.uint8)
    mask[0:2, 1, 1] = mask[4, 2, 3] = 1
    points = [[-40, 1, 2], [-38, 3, 4], [10, 20, 30]]
    locations = locations_of(points, ["R1", "R3", "R3"], [False, True, False], False)
    table = measurements.measure(image(mask), locations=locations)
    template = table[["x_template_mm", "y_template_mm", "z_template_mm"]].astype(float)
    np.testing.assert_allclose(template.loc[1], [-39, 2, 3])
    np.testing.assert_allclose(template.loc[2], [10, 20, 30])
    np.testing.assert_allclose(template.loc["all"], [-68 / 3, 8, 12])
    assert table["hemisphere"].tolist() == ["bilateral", "left", "right"]
    # Two super-regions of equal size: the first by name.
    assert table["super_region"].tolist() == ["R3", "R1", "R3"]
    assert table["touches_ventricle"].tolist() == ["yes", "yes", "no"]
    assert table["touches_surface"].tolist() == ["no", "no", "no"]


def test_measure_does_not_depend_on_the_axis_order():
    rng = np.random.default_rng(0)
    mask = (ndimage.gaussian_filter(rng.random((12, 10, 8)), 1) > 0.55).astype(np.uint8)
    affine = np.diag([1.0, 2.0, 1.5, 1.0])
    affine[:3, 3] = -6, -10, -6
    ras = image(mask, affine)
    flip = nib.orientations.axcodes2ornt("PSL")
    flip = nib.orientations.ornt_transform(nib.io_orientation(affine), flip)
    other = ras.as_reoriented(flip)
    assert other.shape != ras.shape

    tables = []
    for img in (ras, other):
        points = apply_affine(img.affine, np.argwhere(np.asarray(img.dataobj)))
        table = measurements.measure(img, locations=locations_of(points))
        tables.append(table.sort_values(["volume_mm3", "x_mm", "y_mm"]))
    ras_table, other_table = tables
    assert len(ras_table) > 3
    numbers = ["volume_mm3", "x_mm", "y_mm", "z_mm"]
    np.testing.assert_allclose(ras_table[numbers], other_table[numbers])
    assert ras_table["hemisphere"].tolist() == other_table["hemisphere"].tolist()


@pytest.mark.parametrize(
    "left, midline, right, expected",
    [
        (10, 0, 0, "left"),
        (0, 0, 10, "right"),
        (90, 0, 10, "bilateral"),  # exactly 10%
        (91, 0, 9, "left"),
        (9, 0, 91, "right"),
        (4, 92, 4, "bilateral"),  # the midline counts for neither side
        (90, 20, 10, "bilateral"),
        (0, 3, 0, None),
    ],
)
def test_hemisphere(left, midline, right, expected):
    x = np.repeat([-0.5, 0.49, 1], [left, midline, right])
    points = np.stack([x, x, x], 1)
    table = measurements.measure(
        image(np.ones((len(x), 1, 1), np.uint8)), locations=locations_of(points)
    )
    hemispheres = table["hemisphere"].tolist()
    assert hemispheres == [expected] * 2 if expected else table["hemisphere"].isna().all()


def test_an_empty_mask_gives_one_row():
    empty = image(np.zeros((3, 3, 3), np.uint8))
    table = measurements.measure(empty, empty, locations_of(np.zeros((0, 3))))
    assert table.index.tolist() == ["all"]
    row = table.loc["all"]
    assert row["volume_mm3"] == row["volume_ml"] == row["voxels"] == 0
    assert row.drop(["volume_mm3", "volume_ml", "voxels"]).isna().all()


def test_different_grids_are_rejected():
    mask = image(np.ones((3, 3, 3), np.uint8))
    with pytest.raises(ImageError, match="lesion probability"):
        measurements.measure(mask, image(np.ones((3, 3, 4))))


@pytest.mark.parametrize(
    "values, expected",
    [([0, 1], [0, 1]), ([0, 255], [0, 1]), ([0, 4], [0, 1]), ([0.4, 0.5], [0, 1]), ([0, 0], [0, 0])],
)
def test_binarize_a_user_supplied_mask(values, expected):
    img = image(np.array(values, np.float32).reshape(2, 1, 1))
    assert np.asarray(masks.binarize(img).dataobj).ravel().tolist() == expected


def test_binarize_rejects_negative_values():
    with pytest.raises(ImageError, match="negative value -1"):
        masks.binarize(image(np.array([-1, 1], np.int16).reshape(2, 1, 1)))
