"""Names and usual times of the steps of a session, and the remaining time on the progress bars."""

import re
import sys
import threading
from collections import Counter
from pathlib import Path

import cards
import pytest
from bids_stroke.pipelines.participant import init_session_wf
from bids_stroke.pipelines.template_session import init_template_session_wf

from bids_stroke.atlases.maps import Maps
from bids_stroke.bids.record import Record
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.execution import steps
from bids_stroke.execution.messages import Result, Started, Step
from bids_stroke.execution.progress import Progress
from bids_stroke.execution.remaining import SessionEstimate
from bids_stroke.spatial.template_spaces import DEFAULT_SPACE, Space

DOCS = Path(__file__).parents[2] / "docs"
SPACES = ("MNI152NLin2009aSym", "MNI152NLin6Asym")


@pytest.fixture
def build(tmp_path):
    """Return a function that builds the workflow of a session."""
    files = [tmp_path / name for name in ("t1w.nii.gz", "brain.nii.gz", "mask.nii.gz")]
    for path in files:
        path.touch()
    t1w, brain, mask = files

    def workflow(*contrasts, drawn_on=None, brain_mask=None):
        images = {contrast: tmp_path / f"sub-01_{contrast}.nii.gz" for contrast in contrasts}
        for path in images.values():
            path.touch()
        lesion = SuppliedMask(mask, drawn_on, {}) if drawn_on else None
        reference = contrasts[0] if contrasts else drawn_on
        session = Session("01", None, images, reference, (), brain_mask and brain, lesion)
        sources = SourceDatasets(tmp_path, tmp_path / "out")
        if drawn_on and drawn_on not in contrasts:
            return init_template_session_wf(session=session, maps=Maps(), sources=sources)
        return init_session_wf(
            session=session,
            card=None if drawn_on else cards.make("T1w", optional=("FLAIR", "T2w"), name="three"),
            maps=Maps(),
            sources=sources,
            brain_extraction="hd-bet",
            normalization="masked",
            spaces=(DEFAULT_SPACE, Space("MNI152NLin6Asym", "2", t1w, brain)),
            device="cpu",
        )

    return workflow


@pytest.mark.parametrize(
    ("contrasts", "options"),
    [
        (["T1w", "FLAIR", "T2w"], {}),
        (["T1w"], {"brain_mask": True}),
        (["T1w", "FLAIR"], {"drawn_on": "FLAIR"}),
        (["TRACE"], {"drawn_on": "TRACE"}),
        (["T1w"], {"drawn_on": "MNIColin27"}),
        ([], {"drawn_on": "MNIColin27"}),
    ],
)
def test_every_step_has_one_name(build, contrasts, options):
    names = list(steps.workflow_steps(build(*contrasts, **options), SPACES))
    assert not [name for name in names if re.search(r"_|\.", name)], "the name of a node"
    counts = Counter(name for name in names if name != "collection of inputs")
    assert {name for name, count in counts.items() if count > 1} <= {"collection of inputs"} | {
        f"collection of inputs ({contrast})" for contrast in contrasts
    }


def test_names(build):
    names = set(steps.workflow_steps(build("T1w", "FLAIR"), SPACES))
    assert {
        "brain extraction",
        "bias correction",
        "bias correction (FLAIR)",
        "rigid registration (FLAIR)",
        "lesion segmentation",
        "normalization",
        "normalization (MNI152NLin6Asym)",
        "image quality (T1w)",
        "figure of the tract juelichcst (template)",
        "saving of the lesion mask (FLAIR)",
    } <= names
    supplied = set(steps.workflow_steps(build("T1w", brain_mask=True), SPACES))
    assert "import of the brain mask" in supplied and "brain extraction" not in supplied


def test_usual_times_are_those_of_the_measured_steps(build):
    """The table and docs/performance.md name the same steps, and the steps exist."""
    named = {name.partition(" (")[0] for name in steps.workflow_steps(build("T1w", "FLAIR"))}
    assert set(steps.USUAL_SECONDS) <= named | {steps.REPORT}
    page = (DOCS / "performance.md").read_text()
    text = page.partition("<!-- participant default -->")[2].partition("<!-- end of")[0]
    sections = re.findall(r"^### [^\n]*: app\n\n(.*?)\n\n", text, re.M | re.S)
    measured = [dict(re.findall(r"^\| (.+?) +\| +([\d.]+)", section, re.M)) for section in sections]
    assert len(measured) == 2
    for name, seconds in steps.USUAL_SECONDS.items():
        rows = [
            float(value)
            for table in measured
            for row, value in table.items()
            if row.partition(" (")[0] == name
        ]
        assert rows and min(rows) - 0.6 <= seconds <= max(rows) + 0.6, name


def test_remaining_time():
    """Steps that are slower than usual slow down the rest; steps done earlier do not speed it up."""
    estimate = SessionEstimate(["brain extraction", "lesion segmentation", "normalization"])
    assert estimate.share(0) == 0 and estimate.remaining(0) == 68
    estimate.start("brain extraction", 0)
    assert estimate.remaining(10) == pytest.approx(58), "the running step counts down"
    assert estimate.remaining(100) == pytest.approx(44), "to nothing, at most"
    estimate.end("brain extraction", 58)
    assert estimate.share(58) == pytest.approx(24 / 68)
    assert estimate.remaining(58) == pytest.approx(88), "twice the usual time"
    estimate.start("lesion segmentation", 58)
    estimate.end("lesion segmentation", 0.1)
    assert estimate.remaining(59) == pytest.approx(44)
    estimate.end("normalization", 44)
    assert estimate.share(103) == 1 and estimate.remaining(103) == 0


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    """Return a progress display on a terminal of 120 columns, and a function that returns its text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    progress = Progress(tmp_path / "logs/bids_stroke.log", 2, verbose=1)

    def text():
        progress._bars.refresh()
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().err)

    return progress, text


def test_the_bars_show_step_share_and_remaining_time(shown, tmp_path):
    progress, text = shown
    names = ("brain extraction", "lesion segmentation", "normalization")
    with progress:
        progress.message("sub-01", Started(names, Record("sub-01", "x")))
        progress.message("sub-01", Step("brain extraction", "start", 0))
        assert re.search(r"sub-01 .* \d% \S+ \d:\d\d left +brain extraction", text())
        progress.message("sub-01", Step("brain extraction", "end", 24))
        seen = text()
        assert re.search(r"sub-01 .* 35% \S+ 0:4[34] left", seen)
        assert re.search(r"sessions 0/2 .* 18% \S+ 1:5[12] left", seen)
        progress.ended("sub-01", Result("ok", seconds=90))
        assert re.search(r"sessions 1/2 .* 50% \S+ 1:30 left", text())
    log = (tmp_path / "logs/bids_stroke.log").read_text()
    assert "sub-01: brain extraction started" in log and "sub-01: brain extraction took 24 s" in log


def test_the_bars_are_drawn_while_sessions_start_and_end(tmp_path):
    """rich draws them in another thread, which would end with an error."""
    interval = sys.getswitchinterval()
    progress = Progress(tmp_path / "logs/bids_stroke.log", 1000)
    errors, ended = [], threading.Event()

    def draw():
        try:
            while not ended.is_set():
                progress._remaining()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=draw)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(1000):
            for name in ("sub-01", "sub-02"):
                progress.message(name, Started(["a", "b"], Record(name, "x")))
                progress.message(name, Step("a", "start", 0))
                progress.message(name, Step("b", "start", 0))
                progress.message(name, Step("a", "end", 0))
            progress.ended("sub-01", Result("ok", seconds=1))
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        thread.join()
    assert not errors


def test_sessions_that_restart_and_steps_without_a_usual_time(shown):
    progress, text = shown
    with progress:
        progress.message("sub-01", Step("brain extraction", "start", 0))
        for _ in range(2):
            progress.message("sub-01", Started(["other", "report"], Record("sub-01", "x")))
            progress.message("sub-01", Step("other", "start", 0))
            progress.message("sub-01", Step("other", "end", 0))
            progress.message("sub-01", Step("unlisted", "end", 1000))
        assert re.search(r"sub-01 .* 5% .* left", text()), "0.6 of 13.3 s"
        progress.ended("sub-01", Result("failed", "reason"))
        progress.ended("sub-02", Result("locked", "reason"))
        assert re.search(r"sessions 2/2 .* 100% \S+ *$", text().rstrip())


def test_a_run_without_sessions(tmp_path):
    with Progress(tmp_path / "logs/bids_stroke.log", 0) as progress:
        assert progress._remaining() is None
