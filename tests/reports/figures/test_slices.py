import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, ball, head

from bids_stroke.reports.figures import slices


@pytest.mark.parametrize("orientation", AFFINES)
def test_orientation_of_sections(orientation):
    field = slices.field_of_view(head(orientation), margin=5)
    lesion = ball(orientation, (-30, 20, 35), 12)
    for axis, position in ((slices.CORONAL, 20), (slices.AXIAL, 35)):
        cut = slices.section(lesion, slices.Cut(field, axis, position))
        rows, columns = np.nonzero(cut > 0.5)
        assert columns.max() < cut.shape[1] / 2, "x < 0 is the left half"
        assert rows.max() < cut.shape[0] / 2, "anterior or superior is the upper half"
    cut = slices.section(lesion, slices.Cut(field, slices.SAGITTAL, -30))
    rows, columns = np.nonzero(cut > 0.5)
    assert columns.min() > cut.shape[1] / 2, "anterior is the right half"
    assert rows.max() < cut.shape[0] / 2


@pytest.mark.parametrize("orientation", AFFINES)
def test_a_sphere_is_round_for_any_voxel_size(orientation):
    field = slices.field_of_view(head(orientation), margin=5)
    for axis in range(3):
        where = slices.Cut(field, axis, (0, 0, 10)[axis])
        cut = slices.section(ball(orientation, (0, 0, 10), 40), where)
        height, width = (np.ptp(index) for index in np.nonzero(cut > 0.5))
        assert height * slices.STEP == pytest.approx(80, abs=5)
        assert width * slices.STEP == pytest.approx(80, abs=5)


@pytest.mark.parametrize("orientation", ["PSR", "tilted"])
def test_the_field_of_view_follows_the_world_box(orientation):
    field = slices.field_of_view(ball(orientation, (-10, 20, 15), 30), margin=5)
    np.testing.assert_allclose(field.low, (-40, -10, -15), atol=3)
    np.testing.assert_allclose(field.high, (20, 50, 45), atol=3)


@pytest.mark.parametrize("orientation", AFFINES)
def test_the_close_up_is_centered_on_the_largest_component(orientation):
    far = ball(orientation, (40, 30, 30), 4).get_fdata()
    both = ball(orientation, (-30, 0, 10), 12).get_fdata() + far
    mask = nib.Nifti1Image(both.astype(np.uint8), AFFINES[orientation])
    for cut in slices.close_up(mask):
        rows, columns = np.nonzero(slices.section(mask, cut) > 0.5)
        center = np.array([rows.mean(), columns.mean()]) / cut.field.shape(cut.axis)
        np.testing.assert_allclose(center, 0.5, atol=0.05)
        assert cut.position == pytest.approx((-30, 0, 10)[cut.axis], abs=4)
        assert np.ptp(columns) * cut.field.step == pytest.approx(24, abs=5)
