import ants
import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from bids_stroke.atlases.loads import measure_loads
from bids_stroke.atlases.native_loads import native_weights
from bids_stroke.atlases.tract_cards import TractCard
from bids_stroke.spatial import image
from bids_stroke.spatial.masks import resample_mask

CARD = TractCard(name="tract", atlas="Tract", file="map.nii.gz", space="MNI152NLin6Asym")


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    path = tmp_path_factory.mktemp("transforms") / "identity.mat"
    transform = ants.create_ants_transform(transform_type="AffineTransform", dimension=3)
    ants.write_transform(transform, str(path))
    return path


def tract():
    """Return two cones along z on a 1 mm grid."""
    affine = np.eye(4)
    affine[:3, 3] = -25
    x, y, z = apply_affine(affine, np.moveaxis(np.indices((50, 50, 50)), 0, -1)).transpose(3, 0, 1, 2)
    sides = {}
    for key, center in (("L", -10), ("R", 10)):
        radius = 5 + z / 8
        distance = np.hypot(x - center, y)
        probability = np.clip(radius - distance, 0, 1) * (np.abs(z) < 18)
        sides[key] = nib.Nifti1Image(probability.astype(np.float32), affine)
    return sides


def sphere(img, center, radius):
    points = apply_affine(img.affine, np.moveaxis(np.indices(img.shape), 0, -1))
    return image.like(np.linalg.norm(points - center, axis=-1) < radius, img, np.uint8)


def estimate(lesion, weights):
    flat = np.asanyarray(lesion.dataobj).ravel(order="F")
    return {key: side.ml[flat[side.voxels] > 0].sum() for key, side in weights.items()}


def test_on_the_grid_of_the_template_the_load_is_exact(identity):
    sides = tract()
    lesion = sphere(sides["L"], (-8, 1, 3), 7)
    weights = native_weights(sides, "z", lesion, [identity])
    expected = measure_loads(lesion, sides, CARD)["weighted_load_ml"]
    measured = estimate(lesion, weights)
    assert measured["L"] == pytest.approx(expected["left"], rel=1e-6)
    assert measured["R"] == 0 == expected["right"]


@pytest.mark.parametrize("zooms", [(0.6, 0.6, 0.6), (1, 1, 3), (2, 2, 2)])
def test_on_another_grid_the_load_is_close(identity, zooms):
    sides = tract()
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(0.2, 0.1, -0.1) @ np.diag(zooms)
    shape = (np.array((56, 56, 56)) / zooms).astype(int)
    affine[:3, 3] = -affine[:3, :3] @ (shape / 2)
    lesion = sphere(nib.Nifti1Image(np.zeros(shape, np.uint8), affine), (9, 1, 3), 7)
    measured = estimate(lesion, native_weights(sides, "z", lesion, [identity]))
    expected = measure_loads(resample_mask(lesion, sides["L"]), sides, CARD)["weighted_load_ml"]
    assert measured["R"] == pytest.approx(expected["right"], rel=0.02)
    assert measured["L"] == pytest.approx(expected["left"], abs=0.01)
