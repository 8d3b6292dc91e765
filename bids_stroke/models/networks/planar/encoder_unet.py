"""U-Net decoder on an encoder for images, and weights of encoders that were trained on RGB images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from bids_stroke.errors import ModelError

from .blocks import Up


class Published(NamedTuple):
    """Published weights of an encoder.

    Attributes
    ----------
    encoder, file : str
        Name of the encoder, and description of the file.
    first : str
        Weights of the first convolution.
    others : tuple of str
        Prefixes of the weights of layers that the encoder lacks, such as the classifier.
    """

    encoder: str
    file: str
    first: str
    others: tuple[str, ...]


class EncoderUNet(nn.Module):
    """Encoder and five upsampling blocks, four of them with a skip connection.

    Parameters
    ----------
    encoder : torch.nn.Module
        Module that returns the features of five resolutions, each half of the previous one; the finest
        has half the resolution of the input.
    published : Published
        Weights that fit the encoder.
    channels : sequence of int
        Feature maps of the encoder, the finest first.
    widths : sequence of int
        Feature maps of the upsampling blocks, the coarsest first.
    out_channels : int
    """

    def __init__(
        self,
        encoder: nn.Module,
        published: Published,
        channels: Sequence[int],
        widths: Sequence[int],
        out_channels: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.published = published
        skipped = [*channels[-2::-1], 0]
        below = [channels[-1], *widths]
        self.ups = nn.ModuleList(
            Up(width_below, skip, width)
            for width_below, skip, width in zip(below, skipped, widths, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        *skips, x = self.encoder(x)
        for up, skip in zip(self.ups, [*skips[::-1], None], strict=True):
            x = up(x, skip)
        return self.head(x)


def load_encoder(network: EncoderUNet, state: Mapping[str, torch.Tensor]) -> None:
    """Load encoder weights that were trained on RGB images.

    If the network has another number of channels, each channel gets the mean of the RGB weights, scaled
    so that equal channels give the output of equal colors.

    Parameters
    ----------
    network : EncoderUNet
    state : dict of str to tensor
        Weights with the published names; other layers, such as the classifier, are ignored.

    Raises
    ------
    ModelError
        If the weights do not fit the encoder.
    """
    published = network.published
    encoder = {name: values for name, values in state.items() if not name.startswith(published.others)}
    first = encoder.get(published.first, torch.empty(0))
    channels = network.encoder.state_dict()[published.first].shape[1]
    if first.ndim == 4 and first.shape[1] != channels:
        mean = first.mean(1, keepdim=True) * first.shape[1] / channels
        encoder[published.first] = mean.repeat(1, channels, 1, 1)
    try:
        network.encoder.load_state_dict(encoder, strict=True)
    except RuntimeError:
        raise ModelError(
            f"The weights do not fit the {published.encoder} encoder of this network; use "
            f"{published.file}."
        ) from None
