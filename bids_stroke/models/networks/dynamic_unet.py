"""U-Nets planned by nnU-Net (Isensee et al. 2021, 2024), for inference.

The encoder has plain convolutions (``PlainConvUNet``) or residual blocks (``ResidualEncoderUNet``).
Parameter names match nnU-Net's package ``dynamic-network-architectures``, without the duplicates that
it stores under other names (:func:`bids_stroke.models.networks.dynamic_unet.canonical`). The network of
nnU-Net v1 (``Generic_UNet``) has other names
(:func:`bids_stroke.models.networks.dynamic_unet.from_generic_unet`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

#: Kernel sizes or strides along the three axes.
Triple: TypeAlias = tuple[int, int, int]
_UNIT = (1, 1, 1)
_GENERIC_BLOCK = re.compile(
    r"conv_blocks_(context|localization)\.(\d+)\.(?:([01])\.)?blocks\.(\d+)\.(.+)"
)


class Block(nn.Module):
    """Convolution, instance normalization and, unless ``linear``, leaky ReLU."""

    def __init__(
        self,
        channels: int,
        features: int,
        kernel: Triple,
        stride: Triple,
        bias: bool,
        linear: bool = False,
    ) -> None:
        super().__init__()
        first, second, third = ((side - 1) // 2 for side in kernel)
        padding = (first, second, third)
        self.conv = nn.Conv3d(channels, features, kernel, stride, padding, bias=bias)
        self.norm = nn.InstanceNorm3d(features, eps=1e-5, affine=True)
        self.nonlin = nn.Identity() if linear else nn.LeakyReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, channels, …)`` to ``(batch, features, …)``, downsampled by the stride."""
        return self.nonlin(self.norm(self.conv(x)))


class Stack(nn.Module):
    """Sequence of blocks; the first block has the stride."""

    def __init__(
        self, number: int, channels: int, features: int, kernel: Triple, stride: Triple, bias: bool
    ) -> None:
        super().__init__()
        first = Block(channels, features, kernel, stride, bias)
        rest = (Block(features, features, kernel, _UNIT, bias) for _ in range(number - 1))
        self.convs = nn.Sequential(first, *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, channels, …)`` to ``(batch, features, …)``, downsampled by the stride."""
        return self.convs(x)


class Residual(nn.Module):
    """Residual block of ResNet-D (He et al. 2019), whose skip connection is pooled and projected."""

    def __init__(
        self, channels: int, features: int, kernel: Triple, stride: Triple, bias: bool
    ) -> None:
        super().__init__()
        self.conv1 = Block(channels, features, kernel, stride, bias)
        self.conv2 = Block(features, features, kernel, _UNIT, bias, linear=True)
        self.nonlin2 = nn.LeakyReLU(inplace=True)
        steps: list[nn.Module] = []
        if any(step != 1 for step in stride):
            steps.append(nn.AvgPool3d(stride, stride))
        if channels != features:
            steps.append(Block(channels, features, _UNIT, _UNIT, False, linear=True))
        self.skip = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, channels, …)`` to ``(batch, features, …)``, downsampled by the stride."""
        return self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))


class Residuals(nn.Module):
    """Sequence of residual blocks; the first block has the stride."""

    def __init__(
        self, number: int, channels: int, features: int, kernel: Triple, stride: Triple, bias: bool
    ) -> None:
        super().__init__()
        first = Residual(channels, features, kernel, stride, bias)
        rest = (Residual(features, features, kernel, _UNIT, bias) for _ in range(number - 1))
        self.blocks = nn.Sequential(first, *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, channels, …)`` to ``(batch, features, …)``, downsampled by the stride."""
        return self.blocks(x)


class Encoder(nn.Module):
    """Encoder that returns the features of every stage."""

    def __init__(
        self,
        channels: int,
        features: Sequence[int],
        kernels: Sequence[Triple],
        strides: Sequence[Triple],
        numbers: Sequence[int],
        bias: bool,
        residual: bool,
    ) -> None:
        super().__init__()
        self.stem = None
        if residual:
            self.stem = Stack(1, channels, features[0], kernels[0], _UNIT, bias)
            channels = features[0]
        stages: list[nn.Module] = []
        for number, width, kernel, stride in zip(numbers, features, kernels, strides, strict=True):
            if residual:
                stages.append(Residuals(number, channels, width, kernel, stride, bias))
            else:
                stages.append(nn.Sequential(Stack(number, channels, width, kernel, stride, bias)))
            channels = width
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map ``(batch, channels, …)`` to the features of each stage, the finest first."""
        x = self.stem(x) if self.stem else x
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips


class Decoder(nn.Module):
    """Decoder to logits at full resolution; the layers for deep supervision are not used."""

    def __init__(
        self,
        features: Sequence[int],
        kernels: Sequence[Triple],
        strides: Sequence[Triple],
        numbers: Sequence[int],
        classes: int,
        bias: bool,
    ) -> None:
        super().__init__()
        self.widths = features[-2::-1]
        self.transpconvs, self.stages, self.seg_layers = (nn.ModuleList() for _ in range(3))
        levels = range(len(features) - 1, 0, -1)
        for level, number, kernel in zip(levels, numbers, kernels, strict=True):
            below, width, stride = features[level], features[level - 1], strides[level]
            self.transpconvs.append(nn.ConvTranspose3d(below, width, stride, stride, bias=bias))
            self.stages.append(Stack(number, 2 * width, width, kernel, _UNIT, bias))
            self.seg_layers.append(nn.Conv3d(width, classes, 1))

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor:
        """Map the features of each stage to logits ``(batch, classes, …)``.

        The list ``skips`` is emptied, so that memory of full-resolution arrays is released early.
        """
        x = skips.pop()
        for up, stage, width in zip(self.transpconvs, self.stages, self.widths, strict=True):
            # torch.cat would need the skip and the upsampled features in memory at the same time.
            both = functional.pad(skips.pop(), (0, 0, 0, 0, 0, 0, width, 0))
            both[:, :width] = up(x)
            x = both
            del both
            for block in stage.get_submodule("convs").children():
                x = block(x)
        return self.seg_layers[-1](x)


class DynamicUNet(nn.Module):
    """U-Net from ``(batch, in_channels, …)`` to logits ``(batch, out_channels, …)``."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, in_channels, …)`` to logits ``(batch, out_channels, …)``."""
        return self.decoder(self.encoder(x))


def build(
    in_channels: int,
    out_channels: int,
    features: Sequence[int],
    kernels: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    encoder: Sequence[int],
    decoder: Sequence[int],
    bias: bool,
    residual: bool,
    decoder_kernels: Sequence[Sequence[int]] | None = None,
) -> DynamicUNet:
    """Build the network.

    Parameters
    ----------
    features : sequence of int
        Number of feature maps of each stage.
    kernels, strides : sequence of (int, int, int)
        Kernel size of the convolutions of each stage, and stride of its first convolution.
    encoder, decoder : sequence of int
        Number of convolutions (or residual blocks) of each encoder stage, from the finest to the
        coarsest, and of convolutions of each decoder stage.
    bias : bool
        Whether convolutions have a bias.
    residual : bool
        Whether the encoder has residual blocks.
    decoder_kernels : sequence of (int, int, int), optional
        Kernel size of each decoder stage, from the coarsest to the finest; by default, that of the
        encoder stage with the same resolution.
    """
    kernel_sizes, steps = _triples(kernels), _triples(strides)
    decoder_sizes = _triples(decoder_kernels) if decoder_kernels else kernel_sizes[-2::-1]
    return DynamicUNet(
        Encoder(in_channels, features, kernel_sizes, steps, encoder, bias, residual),
        Decoder(features, decoder_sizes, steps, decoder, out_channels, bias),
    )


def _triples(sizes: Sequence[Sequence[int]]) -> list[Triple]:
    return [(first, second, third) for first, second, third in sizes]


def canonical(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dictionary of nnU-Net without duplicate entries."""
    copies = ("decoder.encoder.", ".all_modules.")
    return {
        name.removeprefix("_orig_mod.").removeprefix("module."): values
        for name, values in state.items()
        if not any(copy in name for copy in copies)
    }


def from_generic_unet(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dictionary of nnU-Net v1 (``Generic_UNet``) with the names of this module.

    Its transposed convolutions and output layers have no bias: the bias is zero here.
    """
    state = canonical(state)
    first_stage = re.compile(r"conv_blocks_context\.0\.blocks\.\d+\.conv\.weight")
    number = sum(bool(first_stage.fullmatch(name)) for name in state)
    renamed = {_rename(name, number): values for name, values in state.items()}
    biases = {}
    for name, values in renamed.items():
        layer = name.removesuffix(".weight")
        if layer.startswith("decoder.transpconvs."):
            biases[f"{layer}.bias"] = values.new_zeros(values.shape[1])
        elif layer.startswith("decoder.seg_layers."):
            biases[f"{layer}.bias"] = values.new_zeros(values.shape[0])
    return biases | renamed


def _rename(name: str, number: int) -> str:
    """Rename a tensor of ``Generic_UNet`` with a ``number`` of convolutions in each stage.

    In the bottleneck and in the decoder, the last convolution of a stage is separate (``half`` 1).
    """
    block = _GENERIC_BLOCK.fullmatch(name)
    if block is None:
        renamed = name.replace("tu.", "decoder.transpconvs.", 1)
        return renamed.replace("seg_outputs.", "decoder.seg_layers.", 1)
    path, stage, half, index, layer = block.groups()
    parent = f"encoder.stages.{stage}.0" if path == "context" else f"decoder.stages.{stage}"
    convolution = number - 1 if half == "1" else index
    return f"{parent}.convs.{convolution}.{layer.replace('instnorm', 'norm')}"
