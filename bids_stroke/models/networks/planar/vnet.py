"""2D V-Net (Milletari et al., 3DV 2016) as in MONAI: residual stages of 5x5 convolutions.

9,357,924 parameters, receptive field of 396 pixels. The number of feature maps is fixed; the number of
input channels must divide 16.
"""

from monai.networks.nets import VNet


def build(in_channels: int = 1, out_channels: int = 1) -> VNet:
    """Build the network, without dropout."""
    return VNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        dropout_prob_down=None,
        dropout_prob_up=(None, 0.0),
        dropout_dim=2,
    )
