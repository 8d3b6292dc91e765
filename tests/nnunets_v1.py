"""Toy results folders of nnU-Net v1, and predictions by a short implementation of its method."""

import itertools
import pickle
from collections import OrderedDict

import nnunets
import numpy as np
import torch
from nibabel.affines import voxel_sizes
from scipy import ndimage
from skimage.transform import resize
from torch import nn

MODEL = "model_final_checkpoint.model"
FEATURES = (4, 8, 16)


class Layer(nn.Module):
    """Convolution, instance normalization and leaky ReLU."""

    def __init__(self, channels, features, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv3d(channels, features, kernel, stride, [side // 2 for side in kernel])
        self.instnorm = nn.InstanceNorm3d(features, affine=True)

    def forward(self, x):
        return nn.functional.leaky_relu(self.instnorm(self.conv(x)), 0.01)


class Layers(nn.Module):
    """Sequence of layers."""

    def __init__(self, *layers):
        super().__init__()
        self.blocks = nn.Sequential(*layers)

    def forward(self, x):
        return self.blocks(x)


class GenericUNet(nn.Module):
    """U-Net of nnU-Net v1 with two convolutions in each stage."""

    def __init__(self, channels, kernels, pools):
        super().__init__()
        context, up, localization, outputs = [], [], [], []
        strides = [1, *pools]
        for width, kernel, stride in zip(FEATURES, kernels, strides, strict=True):
            layers = [Layer(channels, width, kernel, stride), Layer(width, width, kernel)]
            context.append(Layers(*layers))
            channels = width
        context[-1] = nn.Sequential(Layers(layers[0]), Layers(layers[1]))
        for stage in reversed(range(len(pools))):
            width, kernel, pool = FEATURES[stage], kernels[stage + 1], pools[stage]
            up.append(nn.ConvTranspose3d(FEATURES[stage + 1], width, pool, pool, bias=False))
            halves = Layers(Layer(2 * width, width, kernel)), Layers(Layer(width, width, kernel))
            localization.append(nn.Sequential(*halves))
            outputs.append(nn.Conv3d(width, 2, 1, bias=False))
        self.conv_blocks_context, self.tu = nn.ModuleList(context), nn.ModuleList(up)
        self.conv_blocks_localization = nn.ModuleList(localization)
        self.seg_outputs = nn.ModuleList(outputs)

    def forward(self, x):
        skips = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            skips.append(x)
        for up, stage, skip in zip(self.tu, self.conv_blocks_localization, skips[-2::-1], strict=True):
            x = stage(torch.cat((up(x), skip), 1))
        return self.seg_outputs[-1](x)


def plans(contrasts, spacing, patch, transpose=(0, 1, 2), anisotropic=False, masked=True):
    """Content of ``plans.pkl``; spacing and patch in nnU-Net's axis order."""
    channels = range(len(contrasts))
    flat = [1, 3, 3] if anisotropic else [3, 3, 3]
    pools = [[1, 2, 2] if anisotropic else [2, 2, 2], *[[2, 2, 2]] * (len(FEATURES) - 2)]
    stage = {
        "batch_size": 2,
        "num_pool_per_axis": [2, 2, 2],
        "patch_size": np.array(patch),
        "median_patient_size_in_voxels": np.array(patch),
        "current_spacing": np.array(spacing, float),
        "original_spacing": np.array(spacing, float),
        "do_dummy_2D_data_aug": np.bool_(anisotropic),
        "pool_op_kernel_sizes": pools,
        "conv_kernel_sizes": [flat, *[[3, 3, 3]] * (len(FEATURES) - 1)],
    }
    return {
        "num_stages": 1,
        "num_modalities": len(contrasts),
        "modalities": dict(enumerate(contrasts)),
        "normalization_schemes": OrderedDict((n, "nonCT") for n in channels),
        "dataset_properties": {"all_sizes": [(40, 40, 40)], "intensityproperties": None},
        "list_of_npz_files": ["a.npz", "b.npz", "c.npz"],
        "original_spacings": [np.array(spacing, float)],
        "preprocessed_data_folder": "/data/nnUNet_preprocessed/Task100_Toy",
        "num_classes": 1,
        "all_classes": [1],
        "base_num_features": FEATURES[0],
        "keep_only_largest_region": None,
        "min_region_size_per_class": None,
        "use_mask_for_norm": OrderedDict((n, masked) for n in channels),
        "transpose_forward": [np.int64(axis) for axis in transpose],
        "transpose_backward": np.argsort(transpose),
        "data_identifier": "nnUNetData_plans_v2.1",
        "plans_per_stage": {0: stage},
        "preprocessor_name": "GenericPreprocessor",
        "conv_per_stage": 2,
    }


def write(folder, content, folds=1, steps=60, init=0, trainer="nnUNetTrainerV2", zipped=True):
    """Write a results folder with networks trained here; ``init`` is the stage of the trainer."""
    folder.mkdir(parents=True)
    save(folder / "plans.pkl", content)
    settings = content["plans_per_stage"][init or 0]
    for fold in range(folds):
        torch.manual_seed(fold)
        network = build(content, init or 0)
        channels, patch = content["num_modalities"], settings["patch_size"].tolist()
        nnunets.train(network, channels, patch, steps)
        path = folder / f"fold_{fold}" / MODEL
        path.parent.mkdir()
        checkpoint = {
            "epoch": 1,
            "state_dict": OrderedDict(network.state_dict()),
            "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 0.01, "params": [0]}]},
            "lr_scheduler_state_dict": None,
            "plot_stuff": ([np.float64(0.5)], [np.float32(0.5)], [], [np.float64(0.5)]),
            "best_stuff": (None, np.float64(0.5), None),
        }
        torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
        arguments = ("/p/plans.pkl", fold, "/r", "/p", True, init, True, False, True)
        info = {"init": arguments, "name": trainer, "class": f"<class '{trainer}'>", "plans": content}
        save(path.with_name(f"{MODEL}.pkl"), OrderedDict(info))
    return folder


def save(path, content):
    """Write a pickle."""
    path.write_bytes(pickle.dumps(content, protocol=4))


def build(content, stage=0):
    """Build the network of plans."""
    settings = content["plans_per_stage"][stage]
    kernels, pools = settings["conv_kernel_sizes"], settings["pool_op_kernel_sizes"]
    return GenericUNet(content["num_modalities"], kernels, pools)


def reference(folder, content, images, folds, mirror):
    """Lesion probability (x, y, z) by the method of nnU-Net v1."""
    settings, axes = content["plans_per_stage"][0], content["transpose_forward"]
    patch = settings["patch_size"]
    data = np.stack([img.get_fdata(dtype=np.float32).transpose(2, 1, 0) for img in images])
    filled = ndimage.binary_fill_holes((data != 0).any(0))
    box = ndimage.find_objects(filled.astype(int))[0]
    cropped = data[(slice(None), *box)].transpose(0, *(1 + np.array(axes)))
    spacings = voxel_sizes(images[0].affine)[::-1][list(axes)], settings["current_spacing"]
    shape = np.round(spacings[0] / spacings[1] * cropped.shape[1:]).astype(int)
    inside = filled[box].transpose(axes).astype(float)
    mask = resample(inside, shape, spacings, 1, lambda values: (values >= 0.5).astype(float)) > 0.5
    channels = []
    for number, values in enumerate(cropped):
        resampled = resample(values, shape, spacings, 3)
        where = mask if content["use_mask_for_norm"][number] else np.ones_like(mask)
        mean, deviation = resampled[where].mean(), resampled[where].std()
        channels.append(np.where(where, (resampled - mean) / deviation, 0))
    batch = torch.from_numpy(np.stack(channels)[None]).float()
    mean = 0
    for fold in folds:
        network = build(content).eval()
        path = folder / f"fold_{fold}" / MODEL
        network.load_state_dict(torch.load(path, weights_only=False)["state_dict"])
        mean = mean + predict(network, batch, patch, mirror) / len(folds)
    probability = np.zeros(filled.shape, np.float32)
    resized = resample(mean, cropped.shape[1:], spacings[::-1], 1)
    probability[box] = resized.transpose(np.argsort(axes))
    return probability.transpose(2, 1, 0)


def resample(values, shape, spacings, order, convert=lambda values: values):
    """Resample an array, slice by slice if the voxels of one of the grids are anisotropic."""

    def scale(part, size):
        resized = resize(part.astype(float), size, order, mode="edge", anti_aliasing=False)
        return convert(resized)

    anisotropic = [sizes for sizes in spacings if sizes.max() > 3 * sizes.min()]
    if tuple(shape) == values.shape:
        return values
    if not anisotropic:
        return scale(values, shape)
    axis = anisotropic[0].argmax()
    slices = [scale(part, np.delete(shape, axis)) for part in np.rollaxis(values, axis)]
    centers = (np.arange(shape[axis]) + 0.5) * len(slices) / shape[axis]
    return np.stack([slices[int(center)] for center in centers], axis)


def predict(network, batch, patch, mirror):
    """Probability of the foreground: mean of tiles, with Gaussian weights, and of mirrored tiles."""
    missing = np.maximum(patch - np.array(batch.shape[2:]), 0)
    before = missing // 2
    sides = [(int(low), int(pad - low)) for low, pad in zip(before, missing, strict=True)]
    padded = nn.functional.pad(batch, [side for pair in sides[::-1] for side in pair])
    weight = np.zeros(patch)
    weight[tuple(patch // 2)] = 1
    weight = torch.from_numpy(ndimage.gaussian_filter(weight, patch / 8, mode="constant"))
    weight = weight.clip(weight[weight > 0].min())
    total, weights = torch.zeros(padded.shape[2:]), torch.zeros(padded.shape[2:])
    starts = []
    for size, side in zip(padded.shape[2:], patch, strict=True):
        starts.append(np.linspace(0, size - side, int(np.ceil((size - side) / (side / 2))) + 1))
    axes = [axes for n in range(4) for axes in itertools.combinations((2, 3, 4), n)] if mirror else [()]
    with torch.inference_mode():
        for corner in itertools.product(*starts):
            tile = tuple(slice(round(a), round(a) + int(b)) for a, b in zip(corner, patch, strict=True))
            for flip in axes:
                output = network(padded[:, :, *tile].flip(flip)).softmax(1).flip(flip)
                total[tile] += weight * output[0, 1] / len(axes)
            weights[tile] += weight
    part = [slice(low, low + size) for low, size in zip(before, batch.shape[2:], strict=True)]
    return (total / weights).numpy()[tuple(part)]
