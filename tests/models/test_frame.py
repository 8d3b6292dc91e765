import numpy as np

from bids_stroke.models import frame
from bids_stroke.spatial import templates
from bids_stroke.spatial.grid import regrid
from bids_stroke.training.recipes import read_recipe


def test_the_window_of_s2_is_the_center_of_the_template(tmp_path):
    """Tomita et al. crop the center, 144×172×168 voxels, of the template with 197×233×189 voxels."""
    recipe = read_recipe("s2")
    brain = regrid(templates.template().brain, recipe.data.spacing, order=0)
    window = frame.template(
        brain, brain, recipe.data.spacing, recipe.card["window"], tmp_path, aligned=True
    )
    assert window.mask.shape == (144, 172, 168)
    centers = [(img.affine @ [*((np.array(img.shape) - 1) / 2), 1])[:3] for img in (brain, window.mask)]
    np.testing.assert_allclose(*centers, atol=0.5)
    probability = np.ones(window.mask.shape, np.float32)
    inside = window.to_reference(probability, brain).get_fdata() > 0
    assert 0.9 < inside.sum() / np.count_nonzero(brain.dataobj) < 1
