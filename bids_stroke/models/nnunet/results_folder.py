"""Results folders of nnU-Net v2 or v1, read as model cards without nnU-Net or pickled code."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bids_stroke.errors import InvalidModelError
from bids_stroke.models.card import CONTRASTS, NAME, Card, Channel, Network, Plan, Weights
from bids_stroke.utils.files import PathLike, checksum

from . import contents, version1
from .contents import Section

Number = TypeVar("Number", int, float)
_ARCHITECTURES = {"PlainConvUNet": False, "ResidualEncoderUNet": True}


class LabeledNetwork(NamedTuple):
    """Card of a network, and the names of the labels that are foreground."""

    card: Card
    labels: tuple[str, ...]


def read(folder: PathLike) -> Card:
    """Read a results folder (``Trainer__Plans__configuration``) as the card of a lesion model.

    Parameters
    ----------
    folder : path
        Folder with ``plans.json``, ``dataset.json`` and ``fold_*/checkpoint_final.pth`` (or
        ``checkpoint_best.pth``), or a folder of nnU-Net v1
        (:mod:`bids_stroke.models.nnunet.version1`).
        ``FOLDER?folds=0,1&checkpoint=checkpoint_best.pth`` selects folds and checkpoint.

    Returns
    -------
    Card

    Raises
    ------
    InvalidModelError
        If files are missing, or the network or the dataset is not supported.
    """
    return _read(folder, _contrasts, "as a model").card


def read_brain_network(folder: PathLike) -> LabeledNetwork:
    """Read a results folder as a network for brain extraction.

    The network has one channel, of any name. The brain has any label but background.

    Parameters
    ----------
    folder : path
        As for :func:`bids_stroke.models.nnunet.results_folder.read`.

    Returns
    -------
    LabeledNetwork

    Raises
    ------
    InvalidModelError
        If files are missing, or the network or the dataset is not supported.
    """
    return _read(folder, _single_channel, "for brain extraction")


def _read(
    folder: PathLike, parse_channels: Callable[[Section], tuple[Channel, ...]], purpose: str
) -> LabeledNetwork:
    name, _, query = str(folder).partition("?")
    path, choice = Path(name).resolve(), dict(part.split("=") for part in query.split("&") if part)
    read_folder = version1.read if version1.is_results_folder(path) else contents.read
    try:
        files, plans, dataset, checkpoint = read_folder(path, choice)
        configuration = checkpoint["init_args"]["configuration"]
        settings = _configuration(plans, configuration)
        channels, labels = parse_channels(dataset), _foreground(dataset)
        built = arguments(plans, configuration, len(channels), 1 + len(labels))
        card = Card(
            name=_name(dataset, plans),
            network=Network("dynamic_unet", built),
            channels=channels,
            space="native",
            spacing=_ras(settings["spacing"], plans["transpose_forward"]),
            tile=_ras(settings["patch_size"], plans["transpose_forward"]),
            normalization="nnunet",
            threshold=float(dataset.get("threshold", 0.5)),
            min_component_mm3=float(dataset.get("min_component_mm3", 0)),
            weights=_weights(files[0], dataset),
            folds=tuple(_weights(file, dataset) for file in files[1:]),
            plan=_plan(plans, settings, checkpoint),
            trained_on=f"nnU-Net dataset {plans['dataset_name']}, {dataset.get('numTraining')} scans",
            measured=[],
            notes=["User-supplied nnU-Net; its accuracy was not measured."],
            citation=dataset.get("reference") or "nnU-Net [@nnunet].",
            path=path if not query else Path(f"{path}?{query}"),
        )
        return LabeledNetwork(card, labels)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InvalidModelError(f"{path} cannot be used {purpose} ({reason}).") from None


def _configuration(plans: Section, name: str) -> Section:
    settings = plans["configurations"][name]
    while "inherits_from" in settings:
        overrides = {key: value for key, value in settings.items() if key != "inherits_from"}
        settings = {**plans["configurations"][settings["inherits_from"]], **overrides}
    if settings.get("previous_stage"):
        raise ValueError("the second stage of a cascade is not supported; give the first stage")
    if len(settings["patch_size"]) != 3:
        raise ValueError("2D configurations are not supported; train 3d_fullres")
    if set(settings["normalization_schemes"]) != {"ZScoreNormalization"}:
        raise ValueError(
            f"the normalization {settings['normalization_schemes']} is not supported; use z-score"
        )
    return settings


def _contrasts(dataset: Section) -> tuple[Channel, ...]:
    """Return the channels of a lesion model, whose names are contrasts."""
    names = _channel_names(dataset)
    contrasts = {name.lower(): name for name in CONTRASTS} | {"t1": "T1w", "t2": "T2w"}
    if not {name.lower() for name in names} <= contrasts.keys():
        raise ValueError(
            f"its channels are {', '.join(names)}; their names must be among {', '.join(CONTRASTS)}; "
            f'write them to dataset.json in this folder, as "{_channel_key(dataset)}": {{"0": "T1w"}}'
        )
    if len(_foreground(dataset)) != 1:
        raise ValueError(
            f"its labels are {', '.join(dataset['labels'])}; they must be background and lesion"
        )
    return tuple(Channel(contrasts[name.lower()]) for name in names)


def _single_channel(dataset: Section) -> tuple[Channel, ...]:
    """Return the channel of a network for brain extraction, which may have any name."""
    names = _channel_names(dataset)
    if len(names) != 1:
        raise ValueError(
            f"its channels are {', '.join(names)}; brain extraction needs a network with one channel"
        )
    return (Channel(names[0]),)


def _channel_names(dataset: Section) -> list[str]:
    names = dataset[_channel_key(dataset)]
    return [str(names[str(number)]) for number in range(len(names))]


def _channel_key(dataset: Section) -> str:
    """Return the key of the names of channels, which is that of nnU-Net v2 or v1."""
    return "channel_names" if "channel_names" in dataset else "modality"


def _foreground(dataset: Section) -> tuple[str, ...]:
    """Return the labels other than the background, whose union is the mask."""
    if "regions_class_order" in dataset:
        raise ValueError("networks that predict regions are not supported; train one with labels")
    # nnU-Net excludes the voxels with the label ignore from the training.
    labels = dataset["labels"].items()
    return tuple(name for name, value in labels if value != 0 and name != "ignore")


def _name(dataset: Section, plans: Section) -> str:
    """Return the name of the dataset or, if it cannot be part of file names, that of the plans."""
    name = str(dataset.get("name") or "")
    return name if NAME.fullmatch(name) else plans["dataset_name"]


def arguments(plans: Section, configuration: str, channels: int, outputs: int = 2) -> dict[str, Any]:
    """Return the arguments of :func:`bids_stroke.models.networks.dynamic_unet.build` for a
    configuration of ``plans.json``.

    Raises
    ------
    ValueError
        If the network architecture is not supported.
    """
    architecture = _architecture(_configuration(plans, configuration))
    kind = architecture["network_class_name"].rpartition(".")[2]
    keywords = architecture["arch_kwargs"]
    parts = [str(keywords[key]).rpartition(".")[2] for key in ("conv_op", "norm_op", "nonlin")]
    if kind not in _ARCHITECTURES or parts != ["Conv3d", "InstanceNorm3d", "LeakyReLU"]:
        raise ValueError(f"the network {kind} with {', '.join(parts)} is not supported")
    residual = _ARCHITECTURES[kind]
    decoder_kernels = keywords.get("decoder_kernel_sizes")
    return {
        "in_channels": channels,
        "out_channels": outputs,
        "features": keywords["features_per_stage"],
        "kernels": keywords["kernel_sizes"],
        "strides": keywords["strides"],
        "encoder": keywords["n_blocks_per_stage" if residual else "n_conv_per_stage"],
        "decoder": keywords["n_conv_per_stage_decoder"],
        "bias": keywords["conv_bias"],
        "residual": residual,
    } | ({"decoder_kernels": decoder_kernels} if decoder_kernels else {})


def _architecture(settings: Section) -> Section:
    """Return the section of the network; nnU-Net before version 2.4 wrote its values separately."""
    if "architecture" in settings:
        return settings["architecture"]
    name, encoder = settings["UNet_class_name"], settings["n_conv_per_stage_encoder"]
    features = (settings["UNet_base_num_features"] * 2**stage for stage in range(len(encoder)))
    depth = "n_blocks_per_stage" if _ARCHITECTURES.get(name) else "n_conv_per_stage"
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "features_per_stage": [min(n, settings["unet_max_num_features"]) for n in features],
            "kernel_sizes": settings["conv_kernel_sizes"],
            "strides": settings["pool_op_kernel_sizes"],
            depth: encoder,
            "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "conv_op": "Conv3d",
            "norm_op": "InstanceNorm3d",
            "nonlin": "LeakyReLU",
        },
    }


def _plan(plans: Section, settings: Section, checkpoint: Section) -> Plan:
    return Plan(
        transpose=tuple(plans["transpose_forward"]),
        masked=tuple(settings["use_mask_for_norm"]),
        order=settings.get("resampling_fn_data_kwargs", {}).get("order", 3),
        mirror=tuple(checkpoint.get("inference_allowed_mirroring_axes") or ()),
        version=plans.get("version", 2),
    )


def _ras(values: Sequence[Number], axes: Sequence[int]) -> tuple[Number, Number, Number]:
    """Reorder values from the network's axis order to (x, y, z)."""
    stored = dict(zip(axes, values, strict=True))
    return stored[2], stored[1], stored[0]


def _weights(file: Path, dataset: Section) -> Weights:
    return Weights(
        sha256=checksum(file),
        bytes=file.stat().st_size,
        licence=dataset.get("licence") or dataset.get("license") or "not stated",
        file=str(file),
    )
