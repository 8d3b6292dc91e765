"""U-Net (Ronneberger et al., MICCAI 2015) as in MONAI (Falk et al., Nature Methods 2019), with batch
normalization.

1,978,433 parameters, receptive field of 204 pixels.
"""

from monai.networks.nets import BasicUNet


def build(in_channels: int = 1, out_channels: int = 1, features: int = 32) -> BasicUNet:
    """Build the network; ``features`` is the number of maps at full resolution."""
    return BasicUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        features=[features * n for n in (1, 1, 2, 4, 8, 1)],
        norm="batch",
    )
