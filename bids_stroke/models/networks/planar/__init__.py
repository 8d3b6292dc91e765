"""Networks that read slices: the eight of Mohapatra et al. 2023, and the one of Chowdhury et al. 2025.

Each module has a ``build(in_channels, out_channels, …)``; a further network is one more of them and a
line in :data:`bids_stroke.models.networks.planar.NETWORKS`. Where the papers leave sizes open, those of
the networks' first publications are taken, most of them halved to 32 feature maps at full resolution,
and batch normalization.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bids_stroke.errors import ModelError

from . import (
    attention_unet,
    fc_densenet,
    resnet,
    resnet50_unet,
    resunet,
    unet,
    unet_plus_plus,
    vgg_unet,
    vnet,
)

NETWORKS = {
    "attention_unet": attention_unet,
    "fc_densenet": fc_densenet,
    "resnet": resnet,
    "resnet50_unet": resnet50_unet,
    "resunet": resunet,
    "unet": unet,
    "unet_plus_plus": unet_plus_plus,
    "vgg_unet": vgg_unet,
    "vnet": vnet,
}
MULTIPLE = 32  # the coarsest pixel of any of them


class Padded(nn.Module):
    """``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, rows, columns)``.

    Slices of any size are padded with zeros, the mean of the brain, to multiples of
    :data:`bids_stroke.models.networks.planar.MULTIPLE`.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        rows, columns = x.shape[2:]
        bottom, right = -rows % MULTIPLE, -columns % MULTIPLE
        return self.net(functional.pad(x, (0, right, 0, bottom)))[..., :rows, :columns]


def build(network: str, **arguments: Any) -> Padded:
    """Build a network.

    Parameters
    ----------
    network : str
        One of :data:`bids_stroke.models.networks.planar.NETWORKS`.
    **arguments
        Of its ``build``.

    Raises
    ------
    ModelError
        If there is no such network.
    """
    if network not in NETWORKS:
        raise ModelError(f"There is no network {network}; known: {', '.join(NETWORKS)}.")
    return Padded(NETWORKS[network].build(**arguments))
