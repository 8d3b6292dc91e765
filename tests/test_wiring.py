"""Every builder of ``pipelines``: nothing unfed, nothing unused, the docstring true."""

import importlib
import inspect
import pkgutil
import re

import cards
import pytest
from nipype.interfaces.base import isdefined
from nipype.pipeline.engine import Workflow

import pipelines
from bids_stroke import atlas
from bids_stroke.bids import Session
from bids_stroke.spaces import DEFAULT, Space
from pipelines.outputs import Names

CARD = cards.make("T1w", optional=("FLAIR",), name="two")
BUILDERS = {
    name: function
    for module in pkgutil.iter_modules(pipelines.__path__)
    for name, function in vars(importlib.import_module(f"pipelines.{module.name}")).items()
    if re.fullmatch(r"init_\w+_wf", name)
}


def session(folder, *contrasts):
    """A session with image files that only have to exist."""
    images = {contrast: folder / f"sub-01_{contrast}.nii.gz" for contrast in contrasts}
    for path in images.values():
        path.touch()
    return Session("01", None, images, contrasts[0])


def build(name, folder, contrasts=("T1w", "FLAIR"), own_mask=None):
    """Call a builder with values for whatever keywords it has."""
    one = session(folder, *contrasts)
    known = {
        "session": one,
        "card": CARD,
        "tract": atlas.load_card(),
        "bids_dir": folder,
        "output_dir": folder / "out",
        "brain_extraction": "hd-bet",
        "normalization": "masked",
        "space": DEFAULT,
        "spaces": (DEFAULT,),
        "own_mask": own_mask,
        "device": "cpu",
        "reference": "T1w",
        "contrast": "FLAIR",
        "contrasts": ("T1w", "FLAIR"),
        "name": "tested_wf",
        "names": Names(
            session=one,
            card=CARD,
            contrasts=("T1w",),
            tract=atlas.load_card(),
            bids_dir=folder,
            output_dir=folder / "out",
        ),
    }
    keywords = inspect.signature(BUILDERS[name]).parameters
    return BUILDERS[name](**{keyword: known[keyword] for keyword in keywords})


def documented(function, section):
    """Names in a section of a numpy docstring."""
    text = inspect.getdoc(function)
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.M | re.S)
    names = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", found[1], re.M) if found else []
    return {name for line in names for name in line.split(", ")}


def fields(workflow, name):
    node = workflow.get_node(name)
    return set(node.inputs.copyable_trait_names()) if node else set()


def edges(workflow):
    """All connections, as (source node, source field, target node, target field)."""
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
    if name != "init_session_wf":
        assert documented(function, "Inputs") == fields(workflow, "inputnode")
        assert documented(function, "Outputs") == fields(workflow, "outputnode")


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_input_is_used_and_every_output_fed(name, tmp_path):
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
def test_a_whole_session_lacks_nothing(contrasts, masked, tmp_path):
    one = session(tmp_path, *contrasts)
    further = []
    if masked:
        files = [tmp_path / "t1w.nii.gz", tmp_path / "brain.nii.gz"]
        for path in files:
            path.touch()
        further = [Space(name, "2", *files) for name in ("MNI152Lin", "MNI152NLin6Asym")]
    if masked:
        mask = tmp_path / "mask.nii.gz"
        mask.touch()
        one = Session("01", None, one.images, "T1w", (), mask)
    workflow = BUILDERS["init_session_wf"](
        session=one,
        card=CARD,
        tract=atlas.load_card(),
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        brain_extraction="hd-bet",
        normalization="masked",
        spaces=(DEFAULT, *further),
        device="cpu",
    )
    workflow._generate_flatgraph()
    fed = {}
    for _, target, data in workflow._graph.edges(data=True):
        fed.setdefault(target, set()).update(end for _, end in data["connect"])
    for node in workflow._graph.nodes():
        for field in node.inputs.traits(mandatory=True):
            given = isdefined(getattr(node.inputs, field)) or field in fed.get(node, set())
            assert given, f"{node.fullname} lacks {field}"
    targets = [node.inputs.out_file for node in workflow._graph.nodes() if "ds_" in node.name]
    assert len(targets) == len(set(targets)), "two sinks write one file"


def test_the_model_sees_its_contrasts_in_its_order(tmp_path):
    workflow = build("init_session_wf", tmp_path)
    assert workflow.get_node("lesion_wf.segment").inputs.contrasts == ["T1w", "FLAIR"]
    ends = {
        (source.name, end) for source, _, target, end in edges(workflow) if target.name == "images"
    }
    assert ends == {("reference_wf", "in1"), ("flair_wf", "in2")}


def test_methods_are_described(tmp_path):
    text = build("init_session_wf", tmp_path).describe()
    for words in ("HD-BET", "N4", "FLAIR image was registered", "two", "excluded from the cost"):
        assert words in text
