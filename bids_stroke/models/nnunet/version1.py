"""Results folders of nnU-Net v1, converted to the plans of nnU-Net v2.

A folder (``nnUNetTrainerV2__nnUNetPlansv2.1``) contains ``plans.pkl`` and, for each fold,
``model_final_checkpoint.model`` and ``model_final_checkpoint.model.pkl``. The latter contains the plans
and the stage that nnU-Net v1 uses.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from .checkpoint import read_pickle
from .contents import FORMER_PLANS, PLANS, Contents, Section, find_checkpoints, read_json

CHECKPOINTS = ("model_final_checkpoint.model", "model_best.model")
_CONFIGURATION = "3d"
_MOST_FEATURES = 320
_NORMALIZATIONS = {"nonCT": "ZScoreNormalization"}
#: Trainers whose network, preprocessing or output differs although the weights may fit.
_OTHER_TRAINERS = re.compile(
    r"Cascade|Regions|resample33|_(ReLU|LReLU|GeLU|Mish|GN)(_|$)|_conv\w*ReLUIN"
)


def is_results_folder(path: Path) -> bool:
    """Return whether a folder contains the plans of nnU-Net v1 and not those of v2."""
    return (path / FORMER_PLANS).is_file() and not (path / PLANS).is_file()


def read(path: Path, choice: Mapping[str, str]) -> Contents:
    """Read a results folder of nnU-Net v1.

    Parameters
    ----------
    path : Path
        Folder with ``plans.pkl``. ``dataset.json``, if it exists, overrides names of channels and
        labels (``"modality": {"0": "T1w"}``, ``"labels": {"0": "background", "1": "lesion"}``).
    choice : dict of str to str
        As for :func:`bids_stroke.models.nnunet.contents.read`.

    Raises
    ------
    InvalidModelError
        If a file is missing or cannot be read.
    ModelError
        If the pickle is damaged, or contains code.
    AttributeError, LookupError, TypeError, ValueError
        If the plans are incomplete or not supported.
    """
    files = find_checkpoints(path, choice, CHECKPOINTS)
    stored = read_pickle(files[0].with_name(f"{files[0].name}.pkl"))
    plans, trainer = stored["plans"], str(stored["name"])
    if _OTHER_TRAINERS.search(trainer):
        raise ValueError(f"the trainer {trainer} is not supported; give a network of nnUNetTrainerV2")
    preprocessing = plans.get("preprocessor_name") or "GenericPreprocessor"
    if preprocessing != "GenericPreprocessor":
        raise ValueError(
            f"the preprocessing {preprocessing} is not supported; train with GenericPreprocessor"
        )
    converted = {
        "version": 1,
        "dataset_name": PurePath(str(plans["preprocessed_data_folder"])).name,
        "transpose_forward": _integers(plans["transpose_forward"]),
        "configurations": {_CONFIGURATION: _configuration(plans, _stage(stored))},
    }
    checkpoint = {
        "init_args": {"configuration": _CONFIGURATION},
        "inference_allowed_mirroring_axes": () if "noMirroring" in trainer else (0, 1, 2),
    }
    return Contents(files, converted, _dataset(path, plans), checkpoint)


def _stage(stored: Section) -> int:
    """Return the stage that was trained, as an index into the plans.

    It follows the first Boolean among the arguments of the trainer (``batch_dice``); the arguments
    before it depend on the trainer.
    """
    stages = range(len(stored["plans"]["plans_per_stage"]))
    if len(stages) == 1:
        return 0
    stage = next((stage for flag, stage in pairwise(stored["init"]) if isinstance(flag, bool)), None)
    if stage is None or stage not in stages:
        raise ValueError(f"its checkpoint states the stage {stage}, but there are {len(stages)}")
    return stage


def _configuration(plans: Section, stage: int) -> Section:
    settings, channels = plans["plans_per_stage"][stage], range(plans["num_modalities"])
    schemes = [plans["normalization_schemes"][channel] for channel in channels]
    network = _network(plans, settings)
    return {
        "patch_size": _integers(settings["patch_size"]),
        "spacing": [float(size) for size in settings["current_spacing"]],
        "normalization_schemes": [_NORMALIZATIONS.get(scheme, scheme) for scheme in schemes],
        "use_mask_for_norm": [bool(plans["use_mask_for_norm"][channel]) for channel in channels],
        "architecture": {"network_class_name": "PlainConvUNet", "arch_kwargs": network},
    }


def _network(plans: Section, settings: Section) -> dict[str, Any]:
    """Return the arguments of the network (``Generic_UNet``) as those of nnU-Net v2.

    A stage of its decoder has the kernel size of the next coarser stage of the encoder.
    """
    strides = [[1, 1, 1], *map(_integers, settings["pool_op_kernel_sizes"])]
    kernels = [_integers(kernel) for kernel in settings["conv_kernel_sizes"]]
    convolutions = [int(plans.get("conv_per_stage", 2))] * len(strides)
    features = (int(plans["base_num_features"]) * 2**level for level in range(len(strides)))
    return {
        "features_per_stage": [min(number, _MOST_FEATURES) for number in features],
        "kernel_sizes": kernels,
        "decoder_kernel_sizes": kernels[:0:-1],
        "strides": strides,
        "n_conv_per_stage": convolutions,
        "n_conv_per_stage_decoder": convolutions[1:],
        "conv_bias": True,
        "conv_op": "Conv3d",
        "norm_op": "InstanceNorm3d",
        "nonlin": "LeakyReLU",
    }


def _dataset(path: Path, plans: Section) -> Section:
    """Return the dataset with labels as in nnU-Net v2, from ``dataset.json`` or from the plans."""
    content: dict[str, Any] = {
        "modality": {str(channel): name for channel, name in plans["modalities"].items()},
        "labels": {"0": "background"} | {str(label): str(label) for label in plans["all_classes"]},
        "numTraining": len(plans["list_of_npz_files"]),
    }
    if (path / "dataset.json").is_file():
        content |= read_json(path, "dataset.json")
    channels = len(content["modality"])
    if channels != plans["num_modalities"]:
        raise ValueError(
            f"dataset.json names {channels} channels, but the network has {plans['num_modalities']}"
        )
    return content | {"labels": {name: int(label) for label, name in content["labels"].items()}}


def _integers(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values]
