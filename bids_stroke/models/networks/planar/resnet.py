"""ResNet encoder-decoder: MONAI's ResNet-34 (He et al., CVPR 2016) and a decoder of transposed
convolutions without skip connections.

23,550,593 parameters, receptive field of 1027 pixels.
"""

from itertools import pairwise

import torch
from monai.networks.nets import ResNet
from torch import nn

from .blocks import Up


class Encoder(ResNet):
    """MONAI's 2D residual network without classifier, with torchvision's parameter names.

    It returns the features of five resolutions, the finest first.
    """

    def __init__(self, block: str, in_channels: int, features: int) -> None:
        super().__init__(
            block=block,
            layers=[3, 4, 6, 3],
            block_inplanes=[features * n for n in (1, 2, 4, 8)],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        """Map ``(slices, in_channels, rows, columns)`` to the features of five resolutions."""
        features = [self.act(self.bn1(self.conv1(x)))]
        x = self.maxpool(features[0])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class ResNetDecoder(nn.Module):
    """ResNet encoder and five upsampling blocks."""

    def __init__(self, in_channels: int, out_channels: int, features: int) -> None:
        super().__init__()
        self.encoder = Encoder("basic", in_channels, features)
        widths = [features * 8, features * 4, features * 2, features, features // 2, features // 4]
        self.ups = nn.ModuleList(Up(a, 0, b) for a, b in pairwise(widths))
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        x = self.encoder(x)[-1]
        for up in self.ups:
            x = up(x)
        return self.head(x)


def build(in_channels: int = 1, out_channels: int = 1, features: int = 64) -> ResNetDecoder:
    """Build the network; ``features`` is the number of maps after the first convolution."""
    return ResNetDecoder(in_channels, out_channels, features)
