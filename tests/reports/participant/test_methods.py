import re
from dataclasses import replace

import cards
import pytest
import yaml

from bids_stroke.atlases import tract_cards
from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.record import Record
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.data import DATA
from bids_stroke.reports.participant import methods
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space

REFERENCES = yaml.safe_load((DATA / "references.yaml").read_text())
CARD = cards.make(optional=("T1w", "FLAIR"))


def record(name, description, **more):
    base = Record(name, "x", status="ok", model="unheard-of", weights_sha256="abcdef0123456789")
    return replace(base, description=description, versions={"torch": "2.0"}, **more)


def references_of(text):
    """Extract the references from the text, by number."""
    references = re.findall(r"^(\d+)\. (.+)$", text.partition("## References")[2], re.M)
    return {int(number): reference for number, reference in references}


def test_references_are_numbered_in_the_order_of_first_use():
    text = methods.compose([record("sub-01", "A [@zhu]. B [@n4] and again [@zhu], then [@feng].")])
    assert "A [3]. B [4] and again [3], then [5]." in text
    assert references_of(text) == {
        number: REFERENCES[key]
        for number, key in enumerate(["bids_stroke", "nipype", "zhu", "n4", "feng"], 1)
    }


def test_identical_texts_are_merged():
    text = methods.compose([record("sub-01", "Same."), record("sub-02", "Same.")])
    assert text.count("Same.") == 1 and "sub-01" not in text


def test_different_texts_list_their_sessions_and_share_references():
    records = [
        record("sub-01", "Short [@n4]."),
        record("sub-02_ses-a", "Long [@feng], [@n4]."),
        record("sub-03", "Short [@n4]."),
    ]
    text = methods.compose(records)
    assert "(sub-01, sub-03) Short [3]." in text
    assert "(sub-02_ses-a) Long [4], [3]." in text
    assert len(references_of(text)) == 4


def test_models_and_software_are_listed_once():
    records = [record("sub-01", "Same."), record("sub-02", "Same.")]
    text = methods.compose(records)
    assert text.count("- model unheard-of, weights abcdef012345") == 1
    assert text.count("- torch 2.0") == 1


def test_supplied_brain_masks_have_no_model():
    base = Record("sub-01", "x", status="ok", model="own masks", description="Same.")
    text = methods.compose([base])
    assert "- model" not in text


def test_the_tract_is_cited_with_its_license():
    text = methods.compose([record("sub-01", "The tract [@tract].")])
    tract = tract_cards.load_card()
    assert references_of(text)[3] == " ".join(f"{tract.citation} {tract.licence}".split())
    assert tract.citation and tract.licence


def description(folder, contrasts, brain_extraction, supplied_brain_mask=False, normalization="masked"):
    """Description of the workflow of a session."""
    from bids_stroke.pipelines.participant import init_session_wf

    images = {contrast: folder / f"sub-01_{contrast}.nii.gz" for contrast in contrasts}
    mask = folder / "mask.nii.gz"
    for path in (*images.values(), mask):
        path.touch()
    further = Space("MNI152NLin6Asym", "1", mask, mask)
    workflow = init_session_wf(
        session=Session("01", None, images, contrasts[0], (), mask if supplied_brain_mask else None),
        card=CARD,
        maps=Maps(),
        sources=SourceDatasets(folder, folder / "out"),
        brain_extraction=brain_extraction,
        normalization=normalization,
        spaces=(DEFAULT_SPACE, further) if supplied_brain_mask else (DEFAULT_SPACE,),
        device="cpu",
    )
    return workflow.describe()


def test_normalization_is_described(tmp_path):
    text = description(tmp_path, ("T1w",), "none", True, "enantiomorphic")
    assert "MNI152NLin2009aSym [@mni2009]" in text and "mirrored tissue" in text
    assert "MNI152NLin6Asym (from TemplateFlow [@templateflow])" in text


def test_supplied_brain_masks_are_described(tmp_path):
    from bids_stroke.pipelines.template_session import init_template_session_wf

    for space, words in (("MNI152NLin6Asym", "transformed to"), ("MNIColin27", "assumed to be in")):
        mask = tmp_path / f"sub-01_space-{space}_label-L_mask.nii.gz"
        mask.touch()
        supplied = SuppliedMask(mask, space, {})
        workflow = init_template_session_wf(
            session=Session("01", None, {}, space, (), None, supplied),
            maps=Maps(),
            sources=SourceDatasets(tmp_path, tmp_path / "out"),
        )
        text = workflow.describe()
        assert f"{words} MNI152NLin2009aSym" in text and space in text
        assert "[@" not in methods.compose([record("sub-01", text)])


def test_all_references_are_used_and_all_citations_defined(tmp_path):
    variants = [
        (("T1w",), "hd-bet", False),
        (("T1w", "FLAIR"), "deepbet", False, "enantiomorphic"),
        (("FLAIR",), "none", False),
        (("T1w",), "hd-bet", True),
    ]
    texts = [description(tmp_path, *variant) for variant in variants]
    used = {key for text in texts for key in re.findall(r"\[@([^\]]*)\]", text)}
    assert used | {"bids_stroke", "nipype"} == set(REFERENCES) | {"tract"}
    composed = methods.compose([record(f"sub-{i}", text) for i, text in enumerate(texts)])
    assert "[@" not in composed and "@" not in composed.partition("## References")[0]
    assert len(references_of(composed)) == len(used) + 2
    cited = set(map(int, re.findall(r"\[(\d+)\]", composed)))
    assert cited == set(references_of(composed))


def test_brain_extraction_is_described(tmp_path):
    assert "supplied by the user" in description(tmp_path, ("T1w",), "hd-bet", supplied_brain_mask=True)
    assert "deepbet [@deepbet]" in description(tmp_path, ("T1w",), "deepbet")
    assert "FLAIR image was registered" in description(tmp_path, ("T1w", "FLAIR"), "none")


@pytest.mark.parametrize("has_description", [True, False])
def test_write(tmp_path, has_description):
    record("sub-01", "Done [@n4]." if has_description else "").write(tmp_path)
    path = methods.write(tmp_path)
    if not has_description:  # a session that failed before its workflow was built
        assert path is None and not (tmp_path / "CITATION.md").exists()
        return
    assert "Done [3]." in path.read_text(encoding="utf-8")
    before = path.stat().st_mtime_ns
    methods.write(tmp_path)
    assert path.stat().st_mtime_ns == before
    record("sub-02", "Done otherwise.").write(tmp_path)
    methods.write(tmp_path)
    assert "Done otherwise." in path.read_text(encoding="utf-8")
