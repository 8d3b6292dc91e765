"""Random transforms of the scans of participants."""

import numpy as np
import torch
from monai import transforms

from .samples import Tensors

#: Largest rotation (radians), relative change of size and of intensity, and largest standard
#: deviation of the noise (standardized intensities).
ROTATION, SIZE, INTENSITY, NOISE = np.pi / 12, 0.15, 0.25, 0.2
NAMES = ("image", "label", "mask")


def augment(tensors: Tensors, rng: np.random.Generator) -> Tensors:
    """Flip, rotate and scale a sample at random, and change its intensities.

    All channels are moved in the same way, so that mirrored channels stay aligned.

    Parameters
    ----------
    tensors : tuple of tensor
        Image (channels, x, y, z), float32, label and brain mask (1, x, y, z), bool.
    rng : Generator

    Returns
    -------
    tuple of tensor
        Arrays of the same shapes and types.
    """
    image, label, mask = tensors
    sample = {"image": image, "label": label.float(), "mask": mask.float()}
    moved = _shape().set_random_state(int(rng.integers(2**31)))(sample)
    image, label, mask = (moved[name].as_tensor() for name in NAMES)
    perturbed = _intensity().set_random_state(int(rng.integers(2**31)))(image).as_tensor()
    # Voxels outside the brain are zero and stay zero.
    return torch.where(image != 0, perturbed, 0.0), label > 0, mask > 0


def _shape() -> transforms.Compose:
    """Return transforms that move voxels."""
    return transforms.Compose(
        [
            transforms.RandFlipd(NAMES, prob=0.5, spatial_axis=0),
            transforms.RandAffined(
                NAMES,
                prob=0.5,
                rotate_range=[ROTATION] * 3,
                scale_range=[SIZE] * 3,
                mode=["bilinear", "nearest", "nearest"],
                padding_mode="zeros",
            ),
        ]
    )


def _intensity() -> transforms.Compose:
    """Return transforms that change intensities."""
    return transforms.Compose(
        [
            transforms.RandScaleIntensity(factors=INTENSITY, prob=0.5),
            transforms.RandGaussianNoise(prob=0.5, std=NOISE),
        ]
    )
