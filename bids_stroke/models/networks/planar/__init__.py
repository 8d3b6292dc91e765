"""2D networks: the eight of Mohapatra et al. 2023, the one of Chowdhury et al. 2025, and the same with
another encoder.

Each module has a function ``build(in_channels, out_channels, …)``. To add a network, add a module and
an entry in :data:`bids_stroke.models.networks.planar.NETWORKS`. Sizes that the papers do not report
are taken from the original publication of each network, most of them halved to 32 feature maps at
full resolution, with batch normalization.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bids_stroke.errors import ModelError

from . import (
    attention_unet,
    efficientnet_lite0_unet,
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
    "efficientnet_lite0_unet": efficientnet_lite0_unet,
    "fc_densenet": fc_densenet,
    "resnet": resnet,
    "resnet50_unet": resnet50_unet,
    "resunet": resunet,
    "unet": unet,
    "unet_plus_plus": unet_plus_plus,
    "vgg_unet": vgg_unet,
    "vnet": vnet,
}
MULTIPLE = 32  # largest downsampling factor of all networks


class Padded(nn.Module):
    """Wrapper that pads slices of any size to multiples of
    :data:`bids_stroke.models.networks.planar.MULTIPLE`.

    The padding is zero, the mean of the standardized brain.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        rows, columns = x.shape[2:]
        bottom, right = -rows % MULTIPLE, -columns % MULTIPLE
        return self.net(functional.pad(x, (0, right, 0, bottom)))[..., :rows, :columns]


def build(network: str, **arguments: Any) -> Padded:
    """Build a network.

    Parameters
    ----------
    network : str
        Name in :data:`bids_stroke.models.networks.planar.NETWORKS`.
    **arguments
        Arguments of the ``build`` function of the network.

    Raises
    ------
    ModelError
        If the network is unknown.
    """
    if network not in NETWORKS:
        raise ModelError(f"Unknown network {network}; use one of {', '.join(NETWORKS)}.")
    return Padded(NETWORKS[network].build(**arguments))
