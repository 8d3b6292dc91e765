import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.training import recipes
from bids_stroke.training.patients import groups, split
from bids_stroke.training.patients.patient import Patient

#: Subjects of Mohapatra et al. 2023 by dataset and part.
PAPER = {
    ("atlas", "training"): 447,
    ("atlas", "intermediate"): 100,
    ("own", "training"): 33,
    ("own", "test"): 22,
}


def divide(folder, subjects):
    """Divide patients by a split file with numbers of subjects by dataset and part."""
    names = {
        f"sub-{dataset}{part}{n}": (dataset, part)
        for (dataset, part), number in subjects.items()
        for n in range(number)
    }
    patients = [
        Patient(dataset, name, "n/a", "", ("T1w",), 1.0, True, "", folder / name)
        for name, (dataset, _) in names.items()
    ]
    path = folder / "split.tsv"
    rows = (f"{name}\t{part}" for name, (_, part) in names.items())
    path.write_text("\n".join(["participant_id\tpart", *rows]))
    return split.divide(patients, split.read(path))


@pytest.fixture
def stages():
    return recipes.read_recipe("s1_imtt").runs["UNet_FT"].stages


def test_the_split_of_the_paper(tmp_path, stages):
    parts = divide(tmp_path, PAPER)
    groups.check_stages(stages, parts, "own")
    counts = {
        stage.name: len(groups.select_patients(stage.group, parts, "own", lambda _: "R1"))
        for stage in stages
    }
    assert counts == {"source": 447, "R1": 100, "R2": 0, "R3": 0, "R4": 0, "target": 33}
    assert len(parts["test"]) == 22 and not parts["validation"]


@pytest.mark.parametrize(
    "missing, words",
    [
        (
            ("atlas", "intermediate"),
            "no subject for intermediate, the part of the stages R1, R2, R3, R4",
        ),
        (("atlas", "training"), "The source has no subject for training"),
        (("own", "training"), "The target has no subject for training"),
    ],
)
def test_a_stage_without_patients_is_an_error(tmp_path, stages, missing, words):
    subjects = {key: 2 for key in PAPER if key != missing}
    with pytest.raises(DatasetError, match=words):
        groups.check_stages(stages, divide(tmp_path, subjects), "own")


def test_stages_without_groups_need_no_intermediate_part(tmp_path):
    stages = recipes.read_recipe("s1_mixed").runs["UNet"].stages
    groups.check_stages(stages, divide(tmp_path, {("own", "training"): 2}), "own")
