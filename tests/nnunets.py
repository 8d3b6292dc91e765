"""Toy results folders of nnU-Net v2 and predictions by nnU-Net itself."""

import json
from importlib.util import find_spec

import nibabel as nib
import numpy as np
import torch
from nibabel.affines import voxel_sizes

from bids_stroke.models import weights
from bids_stroke.models.card import Network
from bids_stroke.models.nnunet import results_folder

LIBRARY = "dynamic_network_architectures.architectures.unet"


def architecture(kind="PlainConvUNet", features=(4, 8, 8), anisotropic=False):
    """Section of a plan that defines the network."""
    stages = len(features)
    flat = [1, 3, 3] if anisotropic else [3, 3, 3]
    depth = "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "network_class_name": f"{LIBRARY}.{kind}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [flat] + [[3, 3, 3]] * (stages - 1),
            "strides": [[1, 1, 1], [1 if anisotropic else 2, 2, 2]] + [[2, 2, 2]] * (stages - 2),
            depth: [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def plans(network, channels, spacing, patch, transpose=(0, 1, 2)):
    """Content of ``plans.json``; spacing and patch in nnU-Net's axis order."""
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "Dataset001_Toy",
        "plans_name": "nnUNetPlans",
        "transpose_forward": list(transpose),
        "transpose_backward": np.argsort(transpose).tolist(),
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): {} for c in range(channels)},
        "configurations": {
            "3d_fullres": {
                "data_identifier": "nnUNetPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(patch),
                "spacing": list(spacing),
                "normalization_schemes": ["ZScoreNormalization"] * channels,
                "use_mask_for_norm": [True] * channels,
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": data,
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_seg_kwargs": {**data, "is_seg": True, "order": 1},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": {**data, "order": 1},
                "architecture": network,
                "batch_dice": False,
            }
        },
    }


def write(
    folder,
    network,
    spacing,
    patch,
    contrasts=("T1w",),
    folds=1,
    transpose=(0, 1, 2),
    steps=60,
    training_patch=None,
):
    """Write a results folder of networks trained here on tiles of ``training_patch`` (default
    ``patch``)."""
    folder.mkdir(parents=True)
    content = plans(network, len(contrasts), spacing, patch, transpose)
    (folder / "plans.json").write_text(json.dumps(content))
    dataset = {
        "channel_names": {str(n): name for n, name in enumerate(contrasts)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for fold in range(folds):
        torch.manual_seed(fold)
        trained = build(content, len(contrasts))
        train(trained, len(contrasts), training_patch or patch, steps)
        checkpoint = {
            "network_weights": trained.state_dict(),
            "init_args": {"configuration": "3d_fullres", "fold": fold, "device": torch.device("cpu")},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.25)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1,
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def build(content, channels):
    """Build the network of a plan with nnU-Net or, if it is not installed, with this package."""
    if find_spec("nnunetv2") is None:
        arguments = results_folder.arguments(content, "3d_fullres", channels)
        return weights.build(Network("dynamic_unet", arguments))
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    network = content["configurations"]["3d_fullres"]["architecture"]
    return get_network_from_plans(
        network["network_class_name"],
        network["arch_kwargs"],
        network["_kw_requires_import"],
        channels,
        2,
        deep_supervision=False,
    )


def train(network, channels, patch, steps):
    """Train a network to mark bright smooth regions of the first channel as lesion."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    pool = torch.nn.AvgPool3d(5, 1, 2)
    for _ in range(steps):
        batch = torch.randn(1, channels, *patch, generator=generator)
        smooth = pool(batch[:, :1])
        target = (smooth > smooth.std()).float()[:, 0]
        batch[:, :1] = 5 * smooth
        lesion = network(batch).diff(dim=1)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(lesion, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def brain(shape, zooms, seed=0):
    """A smooth, noisy ellipsoid brain in air (zero), and its mask."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    affine = np.diag([*zooms, 1.0])
    world = (np.indices(shape).T * zooms).T
    extent = np.array(shape) * zooms / 2
    inside = sum(((w - e) / (0.8 * e)) ** 2 for w, e in zip(world, extent, strict=True)) < 1
    sigma = 6 / np.array(zooms)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    data = 100 + 20 * smooth / smooth.std() + rng.normal(size=shape)
    img = nib.Nifti1Image((data * inside).astype(np.float32), affine)
    return img, nib.Nifti1Image(inside.astype(np.uint8), affine)


def reference(folder, images, folds, mirror):
    """Lesion probability (x, y, z) by nnU-Net's own predictor."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(use_mirroring=mirror, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), folds)
    data = np.stack([img.get_fdata(dtype=np.float32).transpose(2, 1, 0) for img in images])
    spacing = [float(zoom) for zoom in voxel_sizes(images[0].affine)[::-1]]
    _, probabilities = predictor.predict_single_npy_array(
        data, {"spacing": spacing}, save_or_return_probabilities=True
    )
    return probabilities[1].transpose(2, 1, 0)
