"""Brain extraction by an nnU-Net, with toy results folders."""

import json
import re
import shutil

import nnunets
import numpy as np
import pytest
import torch

from bids_stroke.errors import ImageError, ModelError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import brain_extraction
from bids_stroke.models.nnunet import results_folder
from bids_stroke.spatial.grid import same_grid

CHECKPOINT = "fold_all/checkpoint_final.pth"


def edit(folder, name, **values):
    """Replace entries of a JSON file."""
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_weights(folder, change):
    """Replace the weights of a folder by those that a function returns."""
    content = torch.load(folder / CHECKPOINT, weights_only=False)
    torch.save({**content, "network_weights": change(content["network_weights"])}, folder / CHECKPOINT)


def mark_bright(weights):
    """Change weights to those of a network that marks the voxels above the mean of its tile.

    The first channel of each block is a copy of its input; the last block copies the skip connection.
    """
    for name, values in weights.items():
        values.zero_()
        if values.ndim == 1 and name.endswith("weight"):  # of a normalization
            values.fill_(1)
        elif "seg_layers" in name and name.endswith("weight"):
            values[:2, 0] = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1)
        elif values.ndim == 5 and "transpconvs" not in name:
            number, channels, *sides = values.shape
            values[0, max(channels - number, 0), *(side // 2 for side in sides)] = 1
    return weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A results folder with a fold named as in HD-BET 2."""
    path = tmp_path_factory.mktemp("nnunet") / "model"
    nnunets.write(path, nnunets.architecture(), (6, 6, 6), (24, 32, 28), ("any name",), steps=0)
    (path / "fold_0").rename(path / "fold_all")
    edit_weights(path, mark_bright)
    plans = json.loads((path / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["use_mask_for_norm"] = [False]
    edit(path, "plans.json", **plans)
    return path


@pytest.fixture
def head():
    """A bright brain of 1.5 liters in air, on a grid unlike that of the network, and its mask."""
    return nnunets.brain((50, 55, 45), (3.6, 3.6, 3.6))


@pytest.fixture
def copied(folder, tmp_path):
    """A copy of the folder, to change."""
    return shutil.copytree(folder, tmp_path / "copied")


def test_the_brain_of_a_head(folder, head):
    img, truth = head
    network = brain_extraction.find_network(f"nnunet:{folder}")
    assert network.labels == ("lesion",)
    mask = brain_extraction.extract(img, f"nnunet:{folder}")
    assert same_grid(mask, img)
    assert dice(mask.dataobj, truth.dataobj) > 0.9  # the network has voxels of 6 mm


def test_the_brain_is_the_union_of_several_labels(folder, copied, head):
    """Two labels share the probability of the brain, so that neither alone is above that of air."""

    def share(weights):
        for name in (name for name in weights if "seg_layers" in name):
            shift = np.log(2) if name.endswith("bias") else 0
            air, brain = weights[name]
            weights[name] = torch.stack([air, brain - shift, brain - shift])
        return weights

    labels = {"air": 0, "gray matter": 1, "white matter": 2, "ignore": 3}
    edit(copied, "dataset.json", labels=labels)
    edit_weights(copied, share)
    assert brain_extraction.find_network(f"nnunet:{copied}").labels == ("gray matter", "white matter")
    shared, single = (brain_extraction.extract(head[0], f"nnunet:{path}") for path in (copied, folder))
    assert dice(shared.dataobj, single.dataobj) > 0.99


def test_the_identity_depends_on_the_weights_but_not_on_the_location(folder, copied):
    first = brain_extraction.identity(f"nnunet:{folder}")
    assert brain_extraction.identity(f"nnunet:{copied}") == first
    edit_weights(copied, lambda weights: {name: values + 1 for name, values in weights.items()})
    assert brain_extraction.identity(f"nnunet:{copied}") != first
    assert brain_extraction.identity("deepbet") == "deepbet"


def test_an_implausible_volume_names_image_and_network(folder, head):
    img = nnunets.brain((40, 40, 40), (1, 1, 1))[0]
    with pytest.raises(ImageError, match=r"sub-01_T1w.* liters \(brain extraction: Dataset001_Toy"):
        brain_extraction.extract(img, f"nnunet:{folder}", name="sub-01_T1w.nii.gz")


def refusal(folder):
    """Return the message of the error that a folder raises."""
    with pytest.raises(ModelError) as caught:
        brain_extraction.find_network(f"nnunet:{folder}")
    return str(caught.value)


def test_a_folder_that_is_no_results_folder(tmp_path):
    message = f"{tmp_path} is not an nnU-Net results folder"
    assert message in refusal(tmp_path) and "contains plans.json or plans.pkl." in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            {"channel_names": {"0": "T1", "1": "T2"}},
            "its channels are T1, T2; brain extraction needs a network with one channel",
        ),
        (
            {"labels": {"background": 0, "brain": [1, 2]}, "regions_class_order": [1]},
            "networks that predict regions are not supported; train one with labels",
        ),
    ],
)
def test_a_network_with_unsuitable_channels_or_labels(copied, content, reason):
    edit(copied, "dataset.json", **content)
    assert refusal(copied) == f"{copied} cannot be used for brain extraction ({reason})."


def test_missing_and_damaged_weights(copied):
    (copied / CHECKPOINT).write_bytes(b"no checkpoint")
    assert f"{copied / CHECKPOINT} cannot be read as an nnU-Net checkpoint" in refusal(copied)
    (copied / CHECKPOINT).unlink()
    assert "has no checkpoint_final.pth or checkpoint_best.pth in any fold" in refusal(copied)


def test_weights_of_another_network(copied, head):
    edit(copied, "dataset.json", labels={"background": 0, "gray matter": 1, "white matter": 2})
    message = f"The weights of {copied} do not fit its network; check plans.json and dataset.json."
    with pytest.raises(ModelError, match=re.escape(message)):
        brain_extraction.extract(head[0], f"nnunet:{copied}")


@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_plans_of_former_versions_of_nnunet(kind):
    """Versions before 2.4 described the network by other keys."""
    plans = nnunets.plans(nnunets.architecture(kind, (4, 8, 8)), 1, (2, 2, 2), (16, 16, 16))
    expected = results_folder.arguments(plans, "3d_fullres", 1)
    settings = plans["configurations"]["3d_fullres"]
    keywords = settings.pop("architecture")["arch_kwargs"]
    settings |= {
        "UNet_class_name": kind,
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "pool_op_kernel_sizes": keywords["strides"],
        "conv_kernel_sizes": keywords["kernel_sizes"],
    }
    assert results_folder.arguments(plans, "3d_fullres", 1) == expected
