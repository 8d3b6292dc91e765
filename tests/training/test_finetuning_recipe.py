"""The recipe of a fine-tuning follows the card of the model."""

import cards
import pytest

from bids_stroke.errors import UsageError
from bids_stroke.models import catalog, weights
from bids_stroke.models.writing import describe, write, write_card
from bids_stroke.training.recipes import parse_patients, read_content
from bids_stroke.training.simulation import appearance


def parse(model, **changes):
    """Recipe of fine-tuning a model, with other sections."""
    return parse_patients(read_content("finetune") | {"initial": str(model)} | changes, "finetune")


def test_the_recipe_has_the_grid_and_the_channels_of_the_model(recipe):
    assert recipe.data.contrasts == ["T1w", "FLAIR", "T2w"]
    assert [list(group) for group in recipe.data.groups] == [["T1w", "FLAIR"], ["T1w"]]
    assert recipe.data.spacing == (2, 2, 2) and recipe.simulation.spacing == 2
    assert recipe.simulation.tile == (32, 32, 32)
    assert recipe.simulation.mirror and recipe.data.brain_extraction == "hd-bet"
    assert recipe.simulation.training.learning_rate == recipe.finetuning.learning_rate


@pytest.mark.parametrize(
    ("required", "optional", "inputs", "prepared"),
    [
        (("FLAIR",), (), ["FLAIR"], ["FLAIR", "T1w"]),
        (("FLAIR",), ("T2w",), ["FLAIR T2w", "FLAIR"], ["FLAIR", "T2w", "T1w"]),
        ((), ("T1w", "FLAIR"), ["T1w FLAIR", "T1w", "FLAIR"], ["T1w", "FLAIR"]),
    ],
)
def test_a_card_without_inputs_is_trained_with_all_that_it_accepts(
    card, tmp_path, required, optional, inputs, prepared
):
    source = catalog.load(str(card))
    content = describe(cards.make(*required, optional=optional)) | {
        "network": describe(source)["network"]
    }
    other = write(content, [weights.state(source)], tmp_path)
    parsed = parse(other)
    assert [" ".join(group) for group in parsed.data.groups] == inputs
    assert [" ".join(entry.contrasts) for entry in parsed.simulation.inputs] == inputs
    assert parsed.prepared == prepared and parsed.data.contrasts == [*required, *optional]


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "MNI152NLin2009aSym"},
        {"spacing": [1.0, 1.0, 3.0]},
        {"tile": [32, 32, 1]},
        {"channels": [{"contrast": "T1w"}, {"contrast": "ADC"}], "inputs": []},
    ],
)
def test_models_without_a_3d_network_in_native_space_are_refused(card, tmp_path, changes):
    source = catalog.load(str(card))
    other = write({**describe(source), **changes, "mirror": False}, [weights.state(source)], tmp_path)
    with pytest.raises(UsageError, match="tested cannot be fine-tuned; give a model"):
        parse(other)


def test_ensembles_are_refused(card):
    names = ("threshold", "min_component_mm3", "trained_on", "measured", "notes", "citation")
    content = {key: value for key, value in describe(catalog.load(str(card))).items() if key in names}
    both = write_card(
        {"name": "both", "members": [card.name], "fusion": "mean", **content}, card.parent
    )
    with pytest.raises(UsageError, match="both cannot be fine-tuned"):
        parse(both)


def test_settings_that_the_model_defines_are_refused(card):
    data = {"brain_extraction": "none", "spacing": [1, 1, 1], "inputs": [["T1w"]]}
    with pytest.raises(UsageError, match="sets inputs, spacing in data, which the model defines"):
        parse(card, data=data)
    with pytest.raises(UsageError, match="the simulation s2, which is not a recipe of simulated"):
        parse(card, simulation="s2")


def test_all_contrasts_of_fine_tuning_can_be_simulated(recipe):
    assert set(appearance.INTENSITIES) == {"T1w", "FLAIR", "T2w"} == set(recipe.data.contrasts)
