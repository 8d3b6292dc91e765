"""Adapted weights must predict as the source, and the report must list every tensor."""

from pathlib import Path

import cards
import pytest
import torch
from safetensors.torch import save_file

from bids_stroke.cli import models
from bids_stroke.errors import ModelError
from bids_stroke.models import catalog, weights
from bids_stroke.models.adaptation import adapt
from bids_stroke.models.card import Network, Plan
from bids_stroke.models.networks import dynamic_unet, resunet3d, unet3d
from bids_stroke.models.writing import describe, write

PLAIN = {
    "out_channels": 2,
    "features": [4, 8],
    "kernels": [[3] * 3] * 2,
    "strides": [[1] * 3, [2] * 3],
    "encoder": [2, 2],
    "decoder": [2],
    "bias": True,
    "residual": False,
}
FAMILIES = {
    "unet3d": (unet3d, {"channels": [4, 8], "strides": [2], "residual_units": 2}),
    "resunet3d": (resunet3d, {"features": 8, "groups": 4, "encoder": [1, 1], "decoder": [1]}),
    "plain": (dynamic_unet, PLAIN),
    "residual": (dynamic_unet, PLAIN | {"residual": True}),
}


def build(family, channels, **changes):
    module, arguments = FAMILIES[family]
    return module.build(in_channels=channels, **arguments | changes).eval()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("new", ["duplicated", "zeros"])
def test_the_adapted_network_predicts_as_the_source(family, new):
    torch.manual_seed(0)
    source, target = build(family, 1), build(family, 2)
    state, rows = adapt(source.state_dict(), target.state_dict(), ["T1w"], ["T1w", "FLAIR"], new)
    target.load_state_dict(state)
    t1w = torch.randn(1, 1, 16, 16, 16)
    other = t1w if new == "duplicated" else torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(
            target(torch.cat([t1w, other], 1)), source(t1w), atol=1e-4, rtol=1e-4
        )
    assert {row[1] for row in rows} == {"copied", "expanded"}


def test_weights_follow_the_order_of_channels():
    """With FLAIR first, the source weights of the T1w belong to the second channel."""
    torch.manual_seed(0)
    source, target = build("plain", 1), build("plain", 2)
    state, _ = adapt(source.state_dict(), target.state_dict(), ["T1w"], ["FLAIR", "T1w"], "zeros")
    target.load_state_dict(state)
    t1w, flair = torch.randn(2, 1, 1, 16, 16, 16)
    with torch.inference_mode():
        logits = target(torch.cat([flair, t1w], 1))
        torch.testing.assert_close(logits, source(t1w), atol=1e-4, rtol=1e-4)


def test_kernels_of_another_plan_are_resized_and_reported():
    torch.manual_seed(0)
    source = build("plain", 1)
    flat = build("plain", 2, kernels=[[1, 3, 3], [3, 3, 3]])
    state, rows = adapt(source.state_dict(), flat.state_dict(), ["T1w"], ["T1w", "FLAIR"])
    flat.load_state_dict(state)
    actions = {name: action for name, action, _, _ in rows}
    assert actions["encoder.stages.0.0.convs.0.conv.weight"] == "expanded and resized"
    assert actions["encoder.stages.0.0.convs.1.conv.weight"] == "resized"
    assert actions["encoder.stages.1.0.convs.0.conv.weight"] == "copied"


def test_tensors_without_counterpart_are_new():
    source, target = build("plain", 1), build("plain", 1, features=[4, 16])
    _, rows = adapt(source.state_dict(), target.state_dict(), ["T1w"], ["T1w"])
    actions = {name: action for name, action, _, _ in rows}
    assert actions["encoder.stages.0.0.convs.0.conv.weight"] == "copied"
    assert actions["encoder.stages.1.0.convs.0.conv.weight"] == "new"


def test_incompatible_networks_and_channels():
    state, other = build("plain", 1).state_dict(), build("unet3d", 1).state_dict()
    with pytest.raises(ModelError, match="share no tensor"):
        adapt(state, other, ["T1w"], ["T1w"])
    with pytest.raises(ModelError, match="requires the channels T1w and cannot be adapted to FLAIR"):
        adapt(state, state, ["T1w"], ["FLAIR"])


def test_the_command_writes_a_card_and_a_report(tmp_path, capsys):
    network = Network("dynamic_unet", PLAIN | {"in_channels": 1})
    plan = Plan(transpose=(0, 1, 2), masked=(True,), order=3, mirror=(2,))
    content = describe(cards.make(network=network, normalization="nnunet", plan=plan))
    path = write(content, [build("plain", 1).state_dict()] * 2, tmp_path)
    arguments = ["adapt", str(path), str(tmp_path / "out"), "--channels", "T1w", "FLAIR"]
    assert models.main(arguments) == 0
    assert "1 tensors expanded" in capsys.readouterr().out
    adapted = catalog.load(tmp_path / "out/tested-T1wFLAIR.yaml")
    assert [channel.contrast for channel in adapted.channels] == ["T1w", "FLAIR"]
    assert adapted.plan.masked == (True, True) and len(adapted.all_weights) == 2
    assert sum(1 for _ in weights.load_folds(adapted)) == 2
    rows = Path(tmp_path / "out/adapt.tsv").read_text().splitlines()
    assert rows[0] == "tensor\taction\tsource_shape\ttarget_shape"
    assert models.main([*arguments[:-1], "DWI"]) == 2
    assert models.main(["verify", str(tmp_path / "out/tested-T1wFLAIR.yaml")]) == 0
    save_file({"a": torch.zeros(1)}, tmp_path / "out/tested-T1wFLAIR-fold1.safetensors")
    assert models.main(["verify", str(tmp_path / "out/tested-T1wFLAIR.yaml")]) == 1
    assert "does not match the checksum" in capsys.readouterr().err
