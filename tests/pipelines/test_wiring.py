"""Workflow builders: all inputs and outputs are connected and documented."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import cards
import pytest
from bids_stroke.pipelines.derivatives import Derivatives
from nipype.interfaces.base import isdefined
from nipype.pipeline.engine import Workflow
from nipype.utils.filemanip import ensure_list

from bids_stroke import pipelines
from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.corrections import Correction
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space

CARD = cards.make("T1w", optional=("FLAIR",), name="two")
BUILDERS = {
    name: function
    for module in pkgutil.iter_modules(pipelines.__path__)
    for name, function in vars(importlib.import_module(f"pipelines.{module.name}")).items()
    if re.fullmatch(r"init_\w+_wf", name)
}


def make_session(folder, *contrasts):
    """Create a session with empty image files."""
    images = {contrast: folder / f"sub-01_{contrast}.nii.gz" for contrast in contrasts}
    for path in images.values():
        path.touch()
    return Session("01", None, images, contrasts[0])


def supplied(folder, space="T1w"):
    """Create a user-supplied lesion mask."""
    path = folder / "sub-01_label-L_mask.nii.gz"
    path.touch()
    return SuppliedMask(path, space, {})


def build(name, folder, contrasts=("T1w", "FLAIR"), supplied_brain_mask=None):
    """Call a builder with values for all of its keywords."""
    session = make_session(folder, *contrasts)
    card = CARD
    if name in ("init_template_session_wf", "init_supplied_outputs_wf"):
        card = None
        session = Session("01", None, {}, "MNIColin27", (), None, supplied(folder, "MNIColin27"))
    arguments = {
        "session": session,
        "card": CARD,
        "maps": Maps(),
        "sources": SourceDatasets(folder, folder / "out"),
        "brain_extraction": "hd-bet",
        "normalization": "masked",
        "space": DEFAULT_SPACE,
        "spaces": (DEFAULT_SPACE,),
        "supplied_brain_mask": supplied_brain_mask,
        "mask": supplied(folder),
        "source": folder / "sub-01_T1w.nii.gz",
        "probability": True,
        "min_component_mm3": 10.0,
        "volume_errors": {80: (-0.5, 0.5)},
        "device": "cpu",
        "mirror": False,
        "corrected": True,
        "earlier": None,
        "earlier_brain_mask": None,
        "earlier_probability": None,
        "orientation": None,
        "reference": "T1w",
        "contrast": "FLAIR",
        "contrasts": ("T1w", "FLAIR"),
        "name": "tested_wf",
        "labels": {"T1w": "T1w", "FLAIR": "FLAIR"},
        "coordinates": "scanner",
        "names": Derivatives(
            session=session,
            card=card,
            contrasts=("T1w",) if card else (),
            maps=Maps(),
            sources=SourceDatasets(folder, folder / "out"),
        ),
    }
    keywords = inspect.signature(BUILDERS[name]).parameters
    return BUILDERS[name](**{keyword: arguments[keyword] for keyword in keywords})


def documented(function, section):
    """Return the names in a section of a numpydoc docstring."""
    text = inspect.getdoc(function)
    match = re.search(rf"^{section}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.M | re.S)
    names = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", match[1], re.M) if match else []
    return {name for line in names for name in line.split(", ")}


def fields(workflow, name):
    node = workflow.get_node(name)
    return set(node.inputs.copyable_trait_names()) if node else set()


def edges(workflow):
    """Yield all connections as (source node, source field, target node, target field)."""
    for source, target, data in workflow._graph.edges(data=True):
        for start, end in data["connect"]:
            yield source, start[0] if isinstance(start, tuple) else start, target, end


def test_there_are_builders():
    assert len(BUILDERS) >= 9


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_docstring_matches(name, tmp_path):
    function, workflow = BUILDERS[name], build(name, tmp_path)
    parameters = set(inspect.signature(function).parameters) - {"name"}
    assert documented(function, "Parameters") == parameters
    if not name.endswith("session_wf"):
        assert documented(function, "Inputs") == fields(workflow, "inputnode")
        assert documented(function, "Outputs") == fields(workflow, "outputnode")


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_all_inputs_and_outputs_are_connected(name, tmp_path):
    workflow = build(name, tmp_path)
    connections = list(edges(workflow))
    used = {start for source, start, _, _ in connections if source.name == "inputnode"}
    fed = {end for _, _, target, end in connections if target.name == "outputnode"}
    assert fields(workflow, "inputnode") == used
    assert fields(workflow, "outputnode") == fed
    for source, start, target, end in connections:
        if isinstance(source, Workflow):
            node, field = start.split(".")
            assert field in fields(source, node), f"{source.name} has no output {start}"
        if isinstance(target, Workflow):
            node, field = end.split(".")
            assert field in fields(target, node), f"{target.name} has no input {end}"


@pytest.mark.parametrize(
    "contrasts", [("T1w",), ("T1w", "FLAIR"), ("T1w", "FLAIR", "T2w"), ("T1w", "T2w")]
)
@pytest.mark.parametrize("masked", [False, True])
def test_a_session_workflow_is_complete(contrasts, masked, tmp_path):
    session = make_session(tmp_path, *contrasts)
    further = []
    if masked:
        files = [tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz"]
        for path in files:
            path.touch()
        further = [Space(name, "2", *files) for name in ("MNI152Lin", "MNI152NLin6Asym")]
    if masked:
        mask = tmp_path / "mask.nii.gz"
        mask.touch()
        session = Session("01", None, session.images, "T1w", (), mask)
    check_complete(
        BUILDERS["init_session_wf"](
            session=session,
            card=CARD,
            maps=Maps(),
            sources=SourceDatasets(tmp_path, tmp_path / "out"),
            brain_extraction="hd-bet",
            normalization="masked",
            spaces=(DEFAULT_SPACE, *further),
            device="cpu",
        )
    )


def test_a_session_workflow_with_another_reference_is_complete(tmp_path):
    images = make_session(tmp_path, "T1w", "FLAIR").images
    workflow = BUILDERS["init_session_wf"](
        session=Session("01", None, images, "FLAIR"),
        card=CARD,
        maps=Maps(),
        sources=SourceDatasets(tmp_path, tmp_path / "out"),
        brain_extraction="hd-bet",
        normalization="masked",
        spaces=(DEFAULT_SPACE,),
        device="cpu",
    )
    names = check_complete(workflow)
    assert "sub-01_from-T1w_to-FLAIR_mode-image_xfm.mat" in names


@pytest.mark.parametrize(
    "contrasts, space",
    [
        (("T1w",), "T1w"),
        (("T1w", "FLAIR", "T2w"), "T2w"),
        (("T1w", "FLAIR"), "FLAIR"),
        (("T1w", "TRACE"), "TRACE"),
        (("TRACE",), "TRACE"),
    ],
)
def test_a_session_workflow_with_a_supplied_mask_is_complete(contrasts, space, tmp_path):
    images = make_session(tmp_path, *contrasts).images
    session = Session("01", None, images, contrasts[0], (), None, supplied(tmp_path, space))
    workflow = BUILDERS["init_session_wf"](
        session=session,
        card=None,
        maps=Maps(),
        sources=SourceDatasets(tmp_path, tmp_path / "out"),
        brain_extraction="hd-bet",
        normalization="masked",
        spaces=(DEFAULT_SPACE,),
        device="cpu",
    )
    names = check_complete(workflow)
    assert not any("probseg" in name for name in names)
    assert f"sub-01_space-{space}_label-L_desc-ownlesion_mask.nii.gz" in names
    assert f"sub-01_space-{space}_label-L_desc-ownlesion_morph.tsv" in names
    assert not any("segment" in name for name in workflow.list_node_names())


def test_a_session_workflow_with_a_corrected_mask_is_complete(tmp_path):
    """All measures use the corrected mask; the mask and the probability of the model remain."""
    mask = supplied(tmp_path)
    images = make_session(tmp_path, "T1w", "FLAIR").images
    session = Session("01", None, images, "T1w", lesion=mask, correction=Correction(mask))
    workflow = BUILDERS["init_session_wf"](
        session=session,
        card=CARD,
        maps=Maps(),
        sources=SourceDatasets(tmp_path, tmp_path / "out"),
        brain_extraction="hd-bet",
        normalization="masked",
        spaces=(DEFAULT_SPACE,),
        device="cpu",
    )
    steps = ("template_wf", "measure_wf", "reference_outputs_wf")
    sources = {
        source.name
        for source, _, target, end in edges(workflow)
        if target.name in steps and end == "inputnode.lesion"
    }
    assert sources == {"supplied_lesion_wf"}
    assert "A rater corrected the lesion mask" in workflow.describe()
    names = check_complete(workflow)
    assert {name for name in names if name.endswith(("lesion_mask.nii.gz", "probseg.nii.gz"))} == {
        "sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.nii.gz",
        "sub-01_space-T1w_label-L_desc-T1FLAIRlesion_probseg.nii.gz",
    }
    assert "sub-01_space-FLAIR_label-L_desc-corrected_mask.nii.gz" in names
    assert "sub-01_space-T1w_label-L_desc-agreement_morph.tsv" in names


@pytest.mark.parametrize("contrasts", [(), ("T1w",)])
def test_a_template_session_workflow_is_complete(contrasts, tmp_path):
    images = dict.fromkeys(contrasts, tmp_path / "sub-01_T1w.nii.gz")
    for path in images.values():
        path.touch()
    session = Session("01", None, images, "MNIColin27", (), None, supplied(tmp_path, "MNIColin27"))
    workflow = BUILDERS["init_template_session_wf"](
        session=session, maps=Maps(), sources=SourceDatasets(tmp_path, tmp_path / "out")
    )
    names = check_complete(workflow)
    assert "sub-01_space-MNI152NLin2009aSym_label-L_desc-ownlesion_morph.tsv" in names
    assert not any("normalize" in name for name in workflow.list_node_names())


def check_complete(workflow):
    """Check that all mandatory inputs are connected and no file is written twice; return the names."""
    workflow._generate_flatgraph()
    fed = {}
    for _, target, data in workflow._graph.edges(data=True):
        fed.setdefault(target, set()).update(end for _, end in data["connect"])
    for node in workflow._graph.nodes():
        for field in node.inputs.traits(mandatory=True):
            given = isdefined(getattr(node.inputs, field)) or field in fed.get(node, set())
            assert given, f"{node.fullname} lacks {field}"
    sinks = (node for node in workflow._graph.nodes() if "ds_" in node.name)
    targets = [path for node in sinks for path in ensure_list(node.inputs.out_file)]
    assert len(targets) == len(set(targets)), "two sinks write one file"
    assert sorted(map(str, workflow.derivatives.values())) == sorted(targets), "a file without a role"
    return {Path(target).name for target in targets}


def test_contrasts_are_in_the_order_of_the_model(tmp_path):
    workflow = build("init_session_wf", tmp_path)
    assert workflow.get_node("lesion_wf.segment").inputs.contrasts == ["T1w", "FLAIR"]
    ends = {(source.name, end) for source, _, target, end in edges(workflow) if target.name == "images"}
    assert ends == {("reference_wf", "in1"), ("flair_wf", "in2")}


def test_methods_are_described(tmp_path):
    text = build("init_session_wf", tmp_path).describe()
    for words in ("HD-BET", "N4", "FLAIR image was registered", "two", "excluded from the cost"):
        assert words in text
