"""A small model and the recipe of its fine-tuning."""

from dataclasses import replace

import cards
import pytest
import torch
import toys

from bids_stroke.models import weights
from bids_stroke.models.writing import describe, write
from bids_stroke.training.recipes import parse_patients, read_content


@pytest.fixture
def card(tmp_path):
    """Card of a small network with mirrored channels."""
    network = {
        "family": "unet3d",
        "arguments": {
            **toys.RECIPE["network"]["arguments"],
            "channels": [8, 8, 8],
            "strides": [1, 2],
        },
    }
    content = describe(cards.make(optional=("T1w", "FLAIR", "T2w")))
    content |= {"network": network, "inputs": [["T1w", "FLAIR"], ["T1w"]], "mirror": True}
    torch.manual_seed(0)
    state = weights.build(cards.Network(**network)).state_dict()
    return write(content, [state], tmp_path / "card")


@pytest.fixture
def recipe(card):
    content = read_content("finetune") | {"initial": str(card), "target": "site"}
    content["finetuning"] |= {"steps": 4, "validation_every": 2, "warmup_steps": 1}
    parsed = parse_patients(content, "finetune")
    training = replace(parsed.simulation.training, batch=2, reuse=1, workers=0)
    return replace(parsed, simulation=replace(parsed.simulation, training=training))
