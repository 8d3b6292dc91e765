"""U-Net with a ResNet-50 encoder (Chowdhury et al. 2025; encoder: He et al., CVPR 2016).

30,461,825 parameters, receptive field of 555 pixels. The encoder has torchvision's parameter names, so
that published ImageNet weights can be loaded directly.
"""

from collections.abc import Mapping

import torch
from torch import nn

from bids_stroke.errors import ModelError

from .blocks import Up
from .resnet import Encoder

CLASSIFIER = "fc."


class ResNet50UNet(nn.Module):
    """ResNet-50 encoder and five upsampling blocks, four of them with a skip connection."""

    def __init__(self, in_channels: int, out_channels: int, features: int) -> None:
        super().__init__()
        self.encoder = Encoder("bottleneck", in_channels, features)
        skipped = [features * n for n in (16, 8, 4, 1)] + [0]
        widths = [features * 32, *(max(features * 4 // 2**n, 1) for n in range(5))]
        self.ups = nn.ModuleList(
            Up(below, skip, width)
            for below, skip, width in zip(widths, skipped, widths[1:], strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        *skips, x = self.encoder(x)
        for up, skip in zip(self.ups, [*skips[::-1], None], strict=True):
            x = up(x, skip)
        return self.head(x)


def build(in_channels: int = 1, out_channels: int = 1, features: int = 64) -> ResNet50UNet:
    """Build the network; ``features`` is the number of maps after the first convolution."""
    return ResNet50UNet(in_channels, out_channels, features)


def load_encoder(network: ResNet50UNet, state: Mapping[str, torch.Tensor]) -> None:
    """Load encoder weights that were trained on RGB images.

    If the network has another number of channels, each channel gets the mean of the RGB weights, scaled
    so that equal channels give the output of equal colors.

    Parameters
    ----------
    network : ResNet50UNet
    state : dict of str to tensor
        Weights with torchvision's names; the classifier is ignored.

    Raises
    ------
    ModelError
        If the weights do not fit the encoder.
    """
    encoder = {name: values for name, values in state.items() if not name.startswith(CLASSIFIER)}
    first = encoder.get("conv1.weight", torch.empty(0))
    channels = network.encoder.state_dict()["conv1.weight"].shape[1]
    if first.ndim == 4 and first.shape[1] != channels:
        mean = first.mean(1, keepdim=True) * first.shape[1] / channels
        encoder["conv1.weight"] = mean.repeat(1, channels, 1, 1)
    try:
        network.encoder.load_state_dict(encoder, strict=True)
    except RuntimeError:
        raise ModelError(
            "The weights do not fit the ResNet-50 encoder of this network; use the file of "
            "torchvision's resnet50."
        ) from None
