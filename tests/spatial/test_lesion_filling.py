"""A lesion is filled with what the other hemisphere shows, and nothing else changes."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.spatial import grid, image, templates
from bids_stroke.spatial.lesion_filling import RIM_MM, fill_lesion

ants = pytest.importorskip("ants")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
STILL = np.eye(4)
CENTRE = np.array([-36.0, -12.0, 20.0])


@pytest.fixture(scope="module")
def head():
    """The template, which is symmetric, at 2 mm with a bright shell for a skull, its brain mask, and
    the places of its voxels."""
    t1w = grid.regrid(templates.template().t1w, (2, 2, 2))
    brain = t1w.get_fdata() > 0.1
    shell = ndimage.binary_dilation(brain, iterations=5) & ~ndimage.binary_dilation(brain, iterations=2)
    data = np.where(shell, 1.5, np.where(brain, t1w.get_fdata(), 0.02)).astype(np.float32)
    points = apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    return nib.Nifti1Image(data, t1w.affine), brain, points


def ball(points, centre, radius):
    return np.linalg.norm(points - centre, axis=-1) < radius


def write(folder, motion):
    """Transforms from a head that ``motion`` moved out of the template, to the template and back."""
    paths = []
    # ITK maps points of the fixed image: a transform of images to the template maps its points away.
    for name, points in (("to", motion), ("from", np.linalg.inv(motion))):
        matrix = LPS @ points @ LPS
        affine = ants.create_ants_transform(
            transform_type="AffineTransform",
            dimension=3,
            parameters=[*matrix[:3, :3].ravel(), *matrix[:3, 3]],
            fixed_parameters=[0.0, 0.0, 0.0],
        )
        paths.append(folder / f"{name}.mat")
        ants.write_transform(affine, str(paths[-1]))
    return paths


def fill(folder, data, affine, brain, lesion, motion=STILL):
    """Fill a lesion that is a hole in the data; returns what is filled, and the hole."""
    hurt = np.where(lesion, 0.05, data).astype(np.float32)
    masks = (nib.Nifti1Image(mask.astype(np.uint8), affine) for mask in (brain, lesion))
    return fill_lesion(nib.Nifti1Image(hurt, affine), *masks, *write(folder, motion)), hurt


def test_a_symmetric_head_gets_back_what_it_lost(head, tmp_path):
    img, brain, points = head
    lesion = ball(points, CENTRE, 18)
    intact = img.get_fdata()
    filling, hurt = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    np.testing.assert_allclose(filled[lesion], intact[lesion], atol=0.03)
    far = ndimage.distance_transform_edt(~lesion, (2, 2, 2)) >= RIM_MM
    np.testing.assert_array_equal(filled[far], hurt[far])
    np.testing.assert_array_equal(filled[~brain & ~lesion], hurt[~brain & ~lesion])
    assert filling.mirrored_mm3 == pytest.approx(8 * lesion.sum(), rel=1e-3)
    assert filling.interpolated_mm3 == pytest.approx(0, abs=8)


def test_a_tilted_and_stretched_head(head, tmp_path):
    """The mirror plane is that of the template, wherever it lies in the scanner."""
    img, brain, points = head
    motion = from_matvec(euler2mat(*np.deg2rad((7, -6, 9))) @ np.diag([1.08, 0.95, 1.04]), (11, -8, 6))
    lesion = ball(points, CENTRE, 18)
    intact = img.get_fdata()
    filling, _ = fill(tmp_path, intact, motion @ img.affine, brain, lesion, motion)
    np.testing.assert_allclose(filling.img.get_fdata()[lesion], intact[lesion], atol=0.03)


def test_brightness_is_matched_where_the_lesion_is(head, tmp_path):
    """The intensities rise by a third from left to right; the mirrored tissue alone is off by 17%."""
    img, brain, points = head
    lesion = ball(points, CENTRE, 18)
    intact = img.get_fdata() * (1 + points[..., 0] / 420)
    filling, _ = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    other = intact[::-1]
    assert np.mean(other[lesion] / intact[lesion]) == pytest.approx(1.19, abs=0.02)
    assert np.mean(filled[lesion] / intact[lesion]) == pytest.approx(1, abs=0.02)
    # No seam: the steps between neighbors across the border are those of the intact head.
    border = ndimage.binary_dilation(lesion) & ~ndimage.binary_erosion(lesion) & brain
    steps = [np.abs(np.diff(data, axis=1))[border[:, 1:]].mean() for data in (filled, intact)]
    assert steps[0] == pytest.approx(steps[1], rel=0.1)


def test_means_take_the_place_of_tissue_that_is_lesioned_on_both_sides(head, tmp_path):
    img, brain, points = head
    left, right = ball(points, CENTRE, 18), ball(points, CENTRE * (-1, 1, 1) + (0, 12, 0), 18)
    lesion = left | right
    both = lesion & lesion[::-1]
    filling, _ = fill(tmp_path, img.get_fdata(), img.affine, brain, lesion)
    assert filling.mirrored_mm3 + filling.interpolated_mm3 == pytest.approx(8 * lesion.sum())
    # Near a lesion of the other side, tissue counts in part.
    grown = lesion & (ndimage.distance_transform_edt(~lesion[::-1], (2, 2, 2)) < RIM_MM)
    assert 8 * both.sum() <= filling.interpolated_mm3 <= 8 * grown.sum()
    tissue = np.percentile(img.get_fdata()[brain], (10, 90))
    filled = filling.img.get_fdata()[both]
    assert tissue[0] < filled.min() and filled.max() < tissue[1]


def test_a_lesion_across_the_midline(head, tmp_path):
    """The part whose mirror image is lesion, too, is interpolated; the rest is mirrored."""
    img, brain, points = head
    lesion = ball(points, (-9, 20, 22), 18) & brain
    both = lesion & lesion[::-1]
    intact = img.get_fdata()
    filling, _ = fill(tmp_path, intact, img.affine, brain, lesion)
    filled = filling.img.get_fdata()
    assert filled[both].min() > 0.2 * np.median(intact[brain])
    away = lesion & (ndimage.distance_transform_edt(~lesion[::-1], (2, 2, 2)) > RIM_MM)
    np.testing.assert_allclose(filled[away], intact[away], atol=0.05)


def test_without_lesion_nothing_changes(head, tmp_path):
    img, brain, _ = head
    filling, hurt = fill(tmp_path, img.get_fdata(), img.affine, brain, np.zeros(img.shape, bool))
    np.testing.assert_array_equal(filling.img.get_fdata(), hurt)
    assert filling[1:] == (0, 0)


def test_thick_slices(head, tmp_path):
    """Of 6 mm: no voxel outside the lesion lies within the rim, in the direction of the slices."""
    img, brain, _ = head
    coarse = grid.regrid(img, (2, 2, 6))
    mask = grid.resample(image.like(brain, img, np.float32), coarse).get_fdata() > 0.5
    places = apply_affine(coarse.affine, np.moveaxis(np.indices(coarse.shape), 0, -1))
    lesion = ball(places, CENTRE, 18) & mask
    intact = coarse.get_fdata()
    filling, _ = fill(tmp_path, intact, coarse.affine, mask, lesion)
    np.testing.assert_allclose(filling.img.get_fdata()[lesion], intact[lesion], atol=0.03)
