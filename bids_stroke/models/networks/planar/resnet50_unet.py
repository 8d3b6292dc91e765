"""U-Net with a ResNet-50 encoder (Chowdhury et al. 2025; encoder: He et al., CVPR 2016).

30,461,825 parameters, receptive field of 555 pixels. The encoder has torchvision's parameter names, so
that published ImageNet weights can be loaded directly.
"""

from .encoder_unet import EncoderUNet, Published
from .resnet import Encoder

PUBLISHED = Published("ResNet-50", "the file of torchvision's resnet50", "conv1.weight", ("fc.",))


def build(in_channels: int = 1, out_channels: int = 1, features: int = 64) -> EncoderUNet:
    """Build the network; ``features`` is the number of maps after the first convolution."""
    channels = [features * n for n in (1, 4, 8, 16, 32)]
    widths = [max(features * 4 // 2**n, 1) for n in range(5)]
    encoder = Encoder("bottleneck", in_channels, features)
    return EncoderUNet(encoder, PUBLISHED, channels, widths, out_channels)
