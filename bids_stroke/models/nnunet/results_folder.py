"""Results folders of nnU-Net v2, read as cards without nnU-Net and without its pickles."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bids_stroke.errors import ModelError
from bids_stroke.models.card import CONTRASTS, Card, Channel, Network, Plan, Weights
from bids_stroke.utils.files import PathLike, checksum

from .checkpoint import CHECKPOINTS, read_metadata

#: Content of a JSON file of nnU-Net, or of a section in it.
Section: TypeAlias = Mapping[str, Any]
Number = TypeVar("Number", int, float)
_ARCHITECTURES = {"PlainConvUNet": False, "ResidualEncoderUNet": True}


def read(folder: PathLike) -> Card:
    """Read a results folder (``Trainer__Plans__configuration``) as a card.

    Parameters
    ----------
    folder : path
        Holds ``plans.json``, ``dataset.json`` and ``fold_*/checkpoint_final.pth`` (else
        ``checkpoint_best.pth``). ``FOLDER?folds=0,1&checkpoint=checkpoint_best.pth`` chooses.

    Returns
    -------
    Card

    Raises
    ------
    ModelError
        If files are missing, or the network or its data is not one that can be predicted.
    """
    name, _, asked = str(folder).partition("?")
    path, choice = Path(name).resolve(), dict(part.split("=") for part in asked.split("&") if part)
    try:
        plans = json.loads((path / "plans.json").read_text())
        dataset = json.loads((path / "dataset.json").read_text())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} is no results folder of nnU-Net v2 ({error}); give the folder with plans.json."
        ) from None
    files = _files(path, choice)
    checkpoint = read_metadata(files[0])
    configuration = checkpoint["init_args"]["configuration"]
    try:
        settings = _configuration(plans, configuration)
        channels = _channels(dataset)
        return Card(
            name=dataset.get("name") or plans["dataset_name"],
            network=Network("dynamic_unet", arguments(plans, configuration, len(channels))),
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
            notes=["An nnU-Net of the user's; nothing was measured."],
            citation=dataset.get("reference") or "nnU-Net (Isensee et al., Nature Methods 2021).",
            path=path if not asked else Path(f"{path}?{asked}"),
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be used as a model ({reason}).") from None


def _files(path: Path, choice: Mapping[str, str]) -> list[Path]:
    folds = choice["folds"].split(",") if "folds" in choice else None
    names = (choice["checkpoint"],) if "checkpoint" in choice else CHECKPOINTS
    folders = [path / f"fold_{fold}" for fold in folds] if folds else sorted(path.glob("fold_*"))
    candidates = ([folder / name for name in names] for folder in folders)
    files = [next(filter(Path.is_file, paths), None) for paths in candidates]
    present = [file for file in files if file]
    if not present or (folds and None in files):
        raise ModelError(f"{path} has no {' or '.join(names)} in {folds or 'any fold_* folder'}.")
    return present


def _configuration(plans: Section, name: str) -> Section:
    settings = plans["configurations"][name]
    while "inherits_from" in settings:
        own = {key: value for key, value in settings.items() if key != "inherits_from"}
        settings = {**plans["configurations"][settings["inherits_from"]], **own}
    if settings.get("previous_stage"):
        raise ValueError("a cascade's second stage needs the first; give the first")
    if len(settings["patch_size"]) != 3:
        raise ValueError("a 2D configuration; train 3d_fullres")
    if set(settings["normalization_schemes"]) != {"ZScoreNormalization"}:
        raise ValueError(f"its normalization is {settings['normalization_schemes']}, not z-score")
    return settings


def _channels(dataset: Section) -> tuple[Channel, ...]:
    names = [dataset["channel_names"][str(n)] for n in range(len(dataset["channel_names"]))]
    contrasts = {name.lower(): name for name in CONTRASTS} | {"t1": "T1w", "t2": "T2w"}
    if not {name.lower() for name in names} <= contrasts.keys():
        raise ValueError(
            f"dataset.json names the channels {', '.join(names)}; name them by {', '.join(CONTRASTS)}"
        )
    labels = dataset["labels"]
    if sorted(labels.values(), key=str) != [0, 1] or "regions_class_order" in dataset:
        raise ValueError(f"its labels are {', '.join(labels)}; background and lesion are needed")
    return tuple(Channel(contrasts[name.lower()]) for name in names)


def arguments(plans: Section, configuration: str, channels: int) -> dict[str, Any]:
    """Arguments of :func:`bids_stroke.models.networks.dynamic_unet.build` for a configuration of
    ``plans.json``.

    Raises
    ------
    ValueError
        If the network is of another kind.
    """
    architecture = _configuration(plans, configuration)["architecture"]
    kind = architecture["network_class_name"].rpartition(".")[2]
    given = architecture["arch_kwargs"]
    parts = [str(given[key]).rpartition(".")[2] for key in ("conv_op", "norm_op", "nonlin")]
    if kind not in _ARCHITECTURES or parts != ["Conv3d", "InstanceNorm3d", "LeakyReLU"]:
        raise ValueError(f"its network is a {kind} of {', '.join(parts)}")
    residual = _ARCHITECTURES[kind]
    return {
        "in_channels": channels,
        "out_channels": 2,
        "features": given["features_per_stage"],
        "kernels": given["kernel_sizes"],
        "strides": given["strides"],
        "encoder": given["n_blocks_per_stage" if residual else "n_conv_per_stage"],
        "decoder": given["n_conv_per_stage_decoder"],
        "bias": given["conv_bias"],
        "residual": residual,
    }


def _plan(plans: Section, settings: Section, checkpoint: Section) -> Plan:
    return Plan(
        transpose=tuple(plans["transpose_forward"]),
        masked=tuple(settings["use_mask_for_norm"]),
        order=settings.get("resampling_fn_data_kwargs", {}).get("order", 3),
        mirror=tuple(checkpoint.get("inference_allowed_mirroring_axes") or ()),
    )


def _ras(values: Sequence[Number], axes: Sequence[int]) -> tuple[Number, Number, Number]:
    """The network's order of axes to (x, y, z)."""
    stored = dict(zip(axes, values, strict=True))
    return stored[2], stored[1], stored[0]


def _weights(file: Path, dataset: Section) -> Weights:
    return Weights(
        sha256=checksum(file),
        bytes=file.stat().st_size,
        licence=dataset.get("licence") or dataset.get("license") or "of its makers",
        file=str(file),
    )
