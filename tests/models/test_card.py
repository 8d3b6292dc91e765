import pytest
import yaml

from bids_stroke.errors import ModelError
from bids_stroke.models import card, catalog

CARD = {
    "name": "tested",
    "network": {"family": "unet3d", "arguments": {}},
    "channels": [{"contrast": "T1w"}, {"contrast": "FLAIR", "required": False}],
    "space": "native",
    "spacing": [2, 2, 1.5],
    "tile": [32, 48, 64],
    "normalization": "zscore",
    "threshold": 0.5,
    "min_component_mm3": 10,
    "weights": {"file": "w.safetensors", "sha256": "0" * 64, "bytes": 1, "licence": "CC0"},
    "trained_on": "nothing",
    "measured": [],
    "notes": [],
    "citation": "none",
}


def write(folder, **changes):
    content = {key: value for key, value in (CARD | changes).items() if value is not None}
    (folder / "card.yaml").write_text(yaml.safe_dump(content))
    return folder / "card.yaml"


def with_channels(folder, *channels):
    channels = [{"contrast": contrast, "required": needed} for contrast, needed in channels]
    return catalog.load(write(folder, channels=channels))


def test_a_card_by_its_path(tmp_path):
    loaded = catalog.load(str(write(tmp_path)))
    assert loaded.name == "tested"
    assert loaded.channels == (card.Channel("T1w"), card.Channel("FLAIR", required=False))
    assert loaded.spacing == (2.0, 2.0, 1.5) and loaded.tile == (32, 48, 64)
    assert loaded.weights.file == "w.safetensors" and loaded.weights.url is None
    assert loaded.path == (tmp_path / "card.yaml").resolve()


@pytest.mark.parametrize("name", catalog.names())
def test_embedded_cards_load_by_name(name):
    loaded = catalog.load(name)
    assert loaded.name == name
    assert len(loaded.weights.sha256) == 64 and loaded.weights.licence
    assert loaded.citation and loaded.trained_on


def test_numbers_that_yaml_reads_as_text(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("threshold: 0.5", "threshold: 5e-1"))
    assert catalog.load(path).threshold == 0.5


def test_an_unknown_model(tmp_path):
    with pytest.raises(ModelError, match="Model unheard-of was not found; give the path of a card"):
        catalog.load("unheard-of")
    with pytest.raises(ModelError, match="was not found"):
        catalog.load(tmp_path)  # a folder


@pytest.mark.parametrize("key", sorted(CARD))
def test_a_card_without_a_key(tmp_path, key):
    with pytest.raises(ModelError, match=r"card\.yaml is not a complete model card") as caught:
        catalog.load(write(tmp_path, **{key: None}))
    assert key in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"invented": 1},
        {"channels": []},
        {"channels": "T1w"},
        {"channels": [{"contrast": "T1w", "need": True}]},
        {"channels": ["T1w"]},
        {"weights": {"file": "w"}},
        {"weights": "w.safetensors"},
        {"network": "unet3d"},
        {"spacing": [2, 2]},
        {"spacing": 2},
        {"spacing": ["a", "b", "c"]},
        {"tile": [32, 32, 32, 32]},
        {"threshold": "half"},
        {"calibration": {"T1w": {"temperature": 0}}},
        {"calibration": {"T1w": {"volume": {80: [0.5, -0.5]}}}},
        {"calibration": {"T1w": {"volume": {"most": [0, 1]}}}},
        {"min_component_mm3": [10]},
    ],
    ids=str,
)
def test_a_card_with_a_wrong_value(tmp_path, changes):
    with pytest.raises(ModelError, match=r"card\.yaml is not a complete model card") as caught:
        catalog.load(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "words", "- a\n- list", "name: [", "\x00", "a: b: c"])
def test_an_invalid_card_file(tmp_path, text):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"card\.yaml is not a complete model card") as caught:
        catalog.load(tmp_path / "card.yaml")
    assert "\n" not in str(caught.value)


def test_a_binary_card_file(tmp_path):
    (tmp_path / "card.yaml").write_bytes(b"\xff\xfe\x80weights")
    with pytest.raises(ModelError, match="not a complete model card"):
        catalog.load(tmp_path / "card.yaml")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"channels": [{"contrast": "DWI"}]}, "unknown contrasts.*DWI"),
        ({"reference": "T2w"}, "reference T2w, which is not a channel; use one of FLAIR, T1w"),
        ({"normalization": "percentile"}, "percentile"),
        ({"space": "MNI152NLin6Asym"}, "MNI152NLin6Asym"),
    ],
)
def test_unsupported_values(tmp_path, changes, words):
    with pytest.raises(ModelError, match=words):
        catalog.load(write(tmp_path, **changes))


def test_select_follows_the_order_of_the_card(tmp_path):
    model = with_channels(tmp_path, ("FLAIR", True), ("T1w", False), ("T2w", False))
    assert model.select(("T1w", "FLAIR")) == ("FLAIR", "T1w")
    assert model.select(("T2w", "FLAIR")) == ("FLAIR", "T2w")
    assert model.select({"FLAIR": 1}) == ("FLAIR",)


def test_select_without_a_required_contrast(tmp_path):
    model = with_channels(tmp_path, ("T1w", True), ("FLAIR", True), ("T2w", False))
    with pytest.raises(ModelError, match=r"tested requires FLAIR, but the session has only T1w, T2w"):
        model.select(("T1w", "T2w"))
    with pytest.raises(ModelError, match=r"requires T1w and FLAIR, but the session has none of them"):
        model.select(())


def test_select_without_any_of_the_optional_contrasts(tmp_path):
    model = with_channels(tmp_path, ("T1w", False), ("FLAIR", False))
    with pytest.raises(ModelError, match="requires T1w or FLAIR, but the session has only T2w"):
        model.select(("T2w",))


def test_takes(tmp_path):
    def accepted(*channels):
        return set(filter(with_channels(tmp_path, *channels).takes, card.CONTRASTS))

    assert accepted(("T1w", True), ("FLAIR", False)) == {"T1w"}
    assert accepted(("T1w", False), ("FLAIR", False)) == {"T1w", "FLAIR"}
    assert accepted(("T1w", True), ("FLAIR", True)) == set()


def test_an_ensemble_that_is_a_member_of_itself(tmp_path):
    described = {"trained_on": "", "measured": [], "notes": [], "citation": ""}
    content = {"name": "ring", "members": ["ring.yaml"], "fusion": "mean", "threshold": 0.5}
    content |= {"min_component_mm3": 0, **described}
    (tmp_path / "ring.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match="a member of itself"):
        catalog.load(tmp_path / "ring.yaml")


def test_the_calibration_of_a_set_of_contrasts(tmp_path):
    """The order of contrasts does not matter; other sets have no calibration."""
    sections = {"T1w+FLAIR": {"temperature": 1.5, "volume": {80: [-0.5, 0.7]}}}
    channels = [{"contrast": "T1w"}, {"contrast": "FLAIR", "required": False}]
    loaded = catalog.load(write(tmp_path, channels=channels, calibration=sections))
    calibration = loaded.calibration_for(["FLAIR", "T1w"])
    assert calibration.temperature == 1.5 and calibration.volume == {80: (-0.5, 0.7)}
    assert loaded.calibration_for(["T1w"]).temperature == 1
