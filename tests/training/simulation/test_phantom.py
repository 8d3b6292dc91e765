"""Head phantoms: tissues, geometry and scans."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_stroke.training.simulation import phantom, phantom_template, scanner

RESOLUTION = 3.0


@pytest.fixture(scope="module")
def template():
    return phantom_template.template(RESOLUTION)


def scanned(template, side, seed):
    """A head, its poses, and the scan, true lesion and true brain of each contrast."""
    rng = np.random.default_rng(seed)
    head = phantom.head(template, side, rng)
    poses = scanner.poses(rng)
    images = {}
    for contrast, pose in poses.items():
        plan = scanner.plan(head, contrast, pose, rng)
        masks = [scanner.truth(head, name, plan) for name in ("lesion", "brain")]
        images[contrast] = (scanner.scan(head, contrast, plan, rng), *masks)
    return head, poses, images


@pytest.fixture(scope="module", params=["left", "right"])
def patient(request, template):
    return request.param, *scanned(template, request.param, 7)


def world(mask):
    """World coordinates of the voxels of a mask."""
    return apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0))


def sample(img, points):
    voxels = apply_affine(np.linalg.inv(img.affine), points)
    return ndimage.map_coordinates(img.get_fdata(), voxels.T, order=1)


def test_volumes_of_lesion_and_brain(patient):
    *_, images = patient
    for _, lesion, brain in images.values():
        lesion_ml = lesion.get_fdata().sum() * np.prod(voxel_sizes(lesion.affine)) / 1000
        brain_ml = brain.get_fdata().sum() * np.prod(voxel_sizes(brain.affine)) / 1000
        assert 20 < lesion_ml < 80
        assert 1200 < brain_ml < 2000
        assert not (lesion.get_fdata() > brain.get_fdata()).any()


def test_lesion_is_in_the_chosen_hemisphere(patient):
    side, _, poses, images = patient
    for contrast, (_, lesion, _) in images.items():
        x = apply_affine(np.linalg.inv(poses[contrast]), world(lesion))[:, 0]
        assert np.mean(x < 0 if side == "left" else x > 0) > 0.99


def test_lesion_has_the_contrast_of_a_chronic_stroke(patient):
    _, _, poses, images = patient
    values = {}
    for contrast, (img, lesion, _) in images.items():
        inside = world(lesion)
        mirror = apply_affine(np.linalg.inv(poses[contrast]), inside) * (-1, 1, 1)
        values[contrast] = sample(img, inside), sample(img, apply_affine(poses[contrast], mirror))
    t1w, healthy_t1w = values["T1w"]
    flair, healthy_flair = values["FLAIR"]
    assert np.median(t1w) < 0.65 * np.median(healthy_t1w)
    assert np.percentile(flair, 95) > 1.15 * np.percentile(healthy_flair, 95)  # gliosis
    assert np.percentile(flair, 20) < 0.5 * np.percentile(healthy_flair, 20)  # cavity


def test_poses_relate_the_two_scans(patient):
    _, _, poses, images = patient
    t1w_to_flair = poses["FLAIR"] @ np.linalg.inv(poses["T1w"])
    for index in (1, 2):
        t1w, flair = (world(images[contrast][index]) for contrast in ("T1w", "FLAIR"))
        gap = apply_affine(t1w_to_flair, t1w.mean(0)) - flair.mean(0)
        assert np.linalg.norm(gap) < 1


def test_grids_are_those_of_the_protocol(patient):
    *_, images = patient
    for contrast, axes, zooms in (("T1w", "PSR", (3, 3, 3)), ("FLAIR", "LAS", (3, 3, 6))):
        for img in images[contrast]:
            assert nib.aff2axcodes(img.affine) == tuple(axes)
            assert (int(img.header["sform_code"]), int(img.header["qform_code"])) == (1, 1)
            np.testing.assert_allclose(img.get_qform(), img.get_sform(), atol=1e-3)
            np.testing.assert_allclose(img.header.get_zooms(), zooms, rtol=1e-5)
            np.testing.assert_allclose(voxel_sizes(img.affine), zooms)
        assert images[contrast][0].get_data_dtype() == np.int16
        assert images[contrast][1].get_data_dtype() == np.uint8
    oblique = nib.affines.obliquity(images["FLAIR"][0].affine)
    assert np.rad2deg(oblique).max() > 2


def test_brain_is_within_the_field_of_view(patient):
    *_, images = patient
    for _, _, brain in images.values():
        inner = brain.get_fdata()[1:-1, 1:-1, 1:-1]
        assert inner.sum() == brain.get_fdata().sum()


def test_warp_does_not_fold(patient):
    _, head, *_ = patient
    grid = np.stack(np.meshgrid(*[np.arange(-72, 73, 6.0)] * 3, indexing="ij"), -1)
    columns = [(head.warp(grid + step) - head.warp(grid - step)) / 0.2 for step in 0.1 * np.eye(3)]
    assert np.linalg.det(np.stack(columns, -1)).min() > 0.3


def test_heads_depend_on_the_seed(template, patient):
    side, head, _, images = patient
    *_, repeated = scanned(template, side, 7)
    for contrast in images:
        for first, second in zip(images[contrast], repeated[contrast], strict=True):
            np.testing.assert_array_equal(first.dataobj, second.dataobj)
            np.testing.assert_array_equal(first.affine, second.affine)
    other = phantom.head(template, side, np.random.default_rng(8))
    assert not np.array_equal(other.volumes["lesion"], head.volumes["lesion"])
    assert not np.array_equal(other.volumes["T1w"], head.volumes["T1w"])


def test_the_head_does_not_depend_on_the_resolution(template):
    fine = phantom.head(template, "left", np.random.default_rng(7))
    coarse = phantom.head(phantom_template.template(4.0), "left", np.random.default_rng(7))
    np.testing.assert_array_equal(coarse.warp.control, fine.warp.control)
    volumes = [head.volumes["lesion"].sum() * head.resolution**3 for head in (fine, coarse)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.08)


def test_poses_are_within_their_ranges():
    for seed in range(20):
        poses = scanner.poses(np.random.default_rng(seed))
        t1w_to_flair = poses["FLAIR"] @ np.linalg.inv(poses["T1w"])
        for pose, degrees, shift in ((poses["T1w"], 8, 10), (t1w_to_flair, 3, 3)):
            angle = np.rad2deg(Rotation.from_matrix(pose[:3, :3]).magnitude())
            assert 1 <= angle <= degrees
            assert np.linalg.norm(pose[:3, 3]) <= shift
