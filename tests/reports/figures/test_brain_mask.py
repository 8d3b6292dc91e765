import nibabel as nib
from drawings import ball, contours, head

from bids_stroke.reports.figures.brain_mask import draw_brain_mask
from bids_stroke.reports.figures.lesion import draw_lesion


def test_images_loaded_from_files(tmp_path):
    for name, image in (("t1w", head()), ("mask", ball("RAS", (0, 0, 10), 60))):
        nib.save(image, tmp_path / f"{name}.nii.gz")
    t1w, mask = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("t1w", "mask"))
    assert contours(draw_lesion(t1w, mask, tmp_path / "a.svg")) > 0
    assert contours(draw_brain_mask(t1w, mask, tmp_path / "b.svg")) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.svg", "b.svg", "mask.nii.gz", "t1w.nii.gz")
    ]
