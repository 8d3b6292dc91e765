"""Invalid scans, masks, tables and cards: each is reported in a sentence and does not stop others."""

import json

import bidsets
import cards
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from faults import inputs
from faults.running import check_complete_files, run
from markupsafe import escape

from bids_stroke.bids import logs, record
from bids_stroke.cli.run import main
from bids_stroke.models.writing import describe
from bids_stroke.spatial import image

pytestmark = pytest.mark.slow

SPACE = "sub-{label}/anat/sub-{label}_space-T1w_label-L_mask.nii.gz"


def label(number):
    return f"{number:02d}"


CASES = [*inputs.SCANS, *inputs.MASKS, *inputs.LESIONS]
LABELS = {case.name: label(number) for number, case in enumerate(CASES)}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Process a dataset with one participant per case; return the run and the output folder."""
    root = bidsets.empty_dataset(tmp_path_factory.mktemp("inputs") / "bids")
    data, affine = inputs.voxels()
    for case in CASES:
        case.make(root / f"sub-{LABELS[case.name]}", LABELS[case.name])
    for case in inputs.SCANS:
        mask = nib.Nifti1Image((data > 120).astype(np.uint8), affine)
        image.save(mask, root / SPACE.format(label=LABELS[case.name]))
    out = root.parent / "out"
    options = ("--lesion-derivatives", root, "--brain-extraction", "none", "--mem-mb", "12000")
    return run(root, out, "participant", *options), out


@pytest.mark.parametrize("case", [*inputs.SCANS, *inputs.MASKS], ids=lambda case: case.name)
def test_unusable_inputs_are_reported(cohort, table, case):
    done, out = cohort
    name = f"sub-{LABELS[case.name]}"
    ends = (f"{name}: failed", f"{name}: refused")
    (line,) = (line for line in done.stderr.splitlines() if any(end in line for end in ends))
    assert case.words in line
    entry = record.read(out, name)
    refused = ": refused" in line
    assert (entry is None) if refused else entry.status == "failed" and case.words in entry.error
    assert not (out / "logs" / f"{name}_crash.txt").exists()
    outputs = "its failure, in log, record and report"
    if refused:
        assert not (out / name).exists()
        outputs = "nothing"
    elif any((out / name).rglob("*label-L*_mask.nii.gz")):
        outputs += "; the outputs of earlier steps"
    table.add("Scans and masks", case.name, done.returncode, line.split(": ", 2)[2], outputs)


@pytest.mark.parametrize("case", inputs.LESIONS, ids=lambda case: case.name)
def test_other_sessions_are_processed(cohort, table, case):
    done, out = cohort
    name = f"sub-{LABELS[case.name]}"
    entry = record.read(out, name)
    assert entry.complete(out)
    assert "+".join(entry.flags) == case.words
    warnings = [line for line in done.stderr.splitlines() if f"{name}: warning: " in line]
    assert len(warnings) == len(entry.flags)
    page = (out / f"{name}.html").read_text()
    for sentence in entry.flags.values():
        assert str(escape(sentence)) in page and any(sentence in line for line in warnings)
    seen = " ".join(entry.flags.values()) or f"{name}: ok"
    outputs = "everything" + "; the warning with it" * bool(entry.flags)
    table.add("Scans and masks", case.name, done.returncode, seen, outputs)


def test_exit_status_and_files_of_the_run(cohort):
    done, out = cohort
    assert done.returncode == 1
    for case in CASES:
        assert f"sub-{LABELS[case.name]}" in done.stdout, case.name
    check_complete_files(out)


def test_the_group_level_reports_flags_and_strict_excludes_sessions(cohort, table, capsys):
    _, out = cohort
    root = out.parent / "bids"
    assert main([str(root), str(out), "group"]) == 0
    rows = pd.read_csv(out / "group_lesion.tsv", sep="\t", dtype=str)
    flags = dict(zip(rows["participant_id"], rows["qc_flags"].fillna(""), strict=True))
    assert flags == {f"sub-{LABELS[case.name]}": case.words for case in inputs.LESIONS}
    assert "Sessions that failed QC checks (3)" in capsys.readouterr().out
    assert main([str(root), str(out), "group", "--strict"]) == 1
    strict = pd.read_csv(out / "group_lesion.tsv", sep="\t", dtype=str)
    assert strict["participant_id"].tolist() == [f"sub-{LABELS['good lesion mask']}"]
    shown = capsys.readouterr().out
    names = {case.words: f"sub-{LABELS[case.name]}" for case in inputs.LESIONS[1:]}
    sentences = [record.read(out, name).flags[words] for words, name in names.items()]
    lines = [
        line.strip() for line in shown.splitlines() if any(sentence in line for sentence in sentences)
    ]
    assert len(lines) == len(sentences)
    table.add(
        "Scans and masks", "sessions that failed QC checks, --strict", 1, " ".join(lines), "the rest"
    )


TABLES = {
    "missing": (None, 0, "sessions"),
    "byte-order mark, Windows line ends": (b"\xef\xbb\xbfparticipant_id\tsex\r\nsub-{}\tF\r\n", 0, "F"),
    "hostile text": (b"participant_id\tsex\nsub-{}\t<script>alert(1)</script>\n", 0, "<script>"),
    "a lone quote": (b'participant_id\tsex\nsub-x\t"a\nsub-{}\tF\n', 0, "F"),
    "the same row twice": (b"participant_id\tsex\nsub-{0}\tF\nsub-{0}\tF\n", 0, "F"),
    "two rows that differ": (
        b"participant_id\tsex\nsub-{0}\tF\nsub-{0}\tM\n",
        1,
        "different rows for sub-",
    ),
    "two columns of one name": (b"participant_id\tsex\tsex \nsub-{}\tF\tM\n", 1, "are named sex"),
    "a column named as a renamed one": (
        b"participant_id\tmodel\tparticipants_model\nsub-{}\ta\tb\n",
        1,
        "rename one of them",
    ),
    "quotes around all cells": (b'"participant_id"\t"sex"\n"sub-{}"\t"F"\n', 0, "F"),
    "no participant_id": (b"subject\tsex\nsub-{}\tF\n", 1, "has no column participant_id"),
    "empty": (b"", 1, "is not a tab-separated table"),
    "not UTF-8": (b"participant_id\tname\nsub-{}\tJos\xe9\n", 1, "is not a tab-separated table"),
    "more cells than columns": (b"participant_id\tsex\nsub-{}\tF\tx\ty\tz\n", 1, "line 2 has 5 cells"),
}


@pytest.mark.parametrize("name", TABLES)
def test_participants_tables(cohort, table, tmp_path, capsys, name):
    _, out = cohort
    content, status, words = TABLES[name]
    good = LABELS["good lesion mask"].encode()
    bidsets.empty_dataset(tmp_path)
    if content is not None:
        filled = content.replace(b"{}", good).replace(b"{0}", good)
        (tmp_path / "participants.tsv").write_bytes(filled)
    group_table = out / "group_lesion.tsv"
    assert main([str(tmp_path), str(out), "group"]) == status
    shown = capsys.readouterr()
    rows = pd.read_csv(group_table, sep="\t", quoting=3)
    assert len(rows) == len(inputs.LESIONS)
    if status:
        assert words in shown.err
        assert str(escape(words)) in (out / "group.html").read_text()
        assert "sex" not in rows
    elif content is not None:
        row = rows[rows["participant_id"] == f"sub-{good.decode()}"].iloc[0]
        assert words in row["sex"]
        assert "<script>alert" not in (out / "group.html").read_text()
    seen = (shown.err or shown.out).splitlines()[0]
    outputs = "the table, without these columns" if status else "the table, with these columns"
    table.add("participants.tsv", name, status, seen, outputs)


def small(folder, *names):
    """Create a dataset of valid scans."""
    bidsets.empty_dataset(folder)
    img, _ = bidsets.scan(1)
    for name in names or ("sub-01/anat/sub-01_T1w.nii.gz",):
        image.save(img, folder / name)
    return folder


def described(content):
    def change(folder):
        (folder / "dataset_description.json").write_bytes(content)

    return change


def sidecar(content):
    def change(folder):
        (folder / "sub-01/anat/sub-01_T1w.json").write_bytes(content)

    return change


def filters(content):
    def change(folder):
        (folder / "filters.json").write_bytes(content)
        return "--bids-filter-file", folder / "filters.json"

    return change


def another_suffix(folder):
    image.save(bidsets.scan(1)[0], folder / "sub-01/anat/sub-01_UNIT1.nii.gz")
    return filters(b'{"t1w": {"datatype": "anat", "suffix": "UNIT1"}}')(folder)


def options(*given):
    return lambda _: given


def linked(folder):
    (folder / "sub-01").rename(folder.parent / "another")
    (folder / "sub-01").symlink_to(folder.parent / "another")


def nothing(folder):
    (folder / "sub-01/anat/sub-01_T1w.nii.gz").unlink()


def hostile_folder(folder):
    small(folder, "sub-<b>/anat/sub-<b>_T1w.nii.gz", "sub-02;ls/anat/sub-02;ls_T1w.nii.gz")


DATASETS = {
    "no dataset_description.json": (
        lambda f: (f / "dataset_description.json").unlink(), 1, "has no dataset_description.json"),
    "description that is no JSON": (described(b"{"), 1, "is not valid JSON"),
    "description of zero bytes": (described(b""), 1, "is not valid JSON"),
    "description that is nested too deep": (described(b"[" * 100_000), 1, "is not valid JSON"),
    "description that is a list": (described(b"[]"), 1, "has no Name or no BIDSVersion"),
    "description not in UTF-8": (described(b'{"Name": "\xe9"}'), 1, "is not valid JSON"),
    "description with a byte-order mark": (
        described(b'\xef\xbb\xbf{"Name": "x", "BIDSVersion": "1.10.0"}'), 0, "sub-01: would run"),
    "sidecar that is no JSON": (sidecar(b"{"), 0, "sub-01: would run"),
    "sidecar not in UTF-8": (sidecar(b"\xff\xfe"), 0, "sub-01: would run"),
    "filter file that is no JSON": (filters(b"{"), 2, "cannot be read as JSON"),
    "filter file that is nested too deep": (filters(b"[" * 100_000), 2, "cannot be read as JSON"),
    "filter file that is a list": (filters(b"[]"), 2, "must have the form"),
    "filter of an unknown contrast": (filters(b'{"t3w": {}}'), 2, "unknown keys t3w"),
    "filter of an unknown entity": (filters(b'{"t1w": {"x": "y"}}'), 2, "not a recognized entity"),
    "filter with an object for a value": (
        filters(b'{"t1w": {"run": {"a": 1}}}'), 2, "use strings, numbers"),
    "filter by the suffix of another contrast": (
        another_suffix, 2, "selects sub-01_UNIT1.nii.gz as a T1w image"),
    "filter by a number without end": (
        filters(b'{"t1w": {"run": 1' + b"0" * 30 + b"}}"), 2, "cannot filter"),
    "filter with a broken pattern": (
        filters(b'{"t1w": {"subject": "(", "regex_search": true}}'), 2, "cannot filter"),
    "filter that leaves nothing": (filters(b'{"t1w": {"acquisition": "x"}}'), 1, "has no T1w, FLAIR"),
    "a participant asked for twice": (
        options("--participant-label", "01", "sub-01", "01"), 0, "sub-01: would run"),
    "a missing participant": (
        options("--participant-label", "07"), 2, "has no participant 07"),
    "no image": (nothing, 1, "contains no sub-* folder with images"),
    "participant's folder behind a link": (linked, 0, "sub-01: would run"),
    "folders whose names are no labels": (hostile_folder, 1, "sub-01: would run"),
    "a missing model": (options("--model", "unheard-of"), 2, "was not found"),
    "output folder that is the dataset": (None, 2, "is the BIDS dataset itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATASETS)
def test_datasets(tmp_path, capsys, table, name):
    change, status, words = DATASETS[name]
    root = small(tmp_path / "bids")
    more = (change(root) if change else None) or ()
    out = tmp_path / "out" if change else root
    before = sorted(tmp_path.rglob("*"))
    arguments = [root, out, "participant", "--dry-run", *(more if isinstance(more, tuple) else ())]
    assert main([str(argument) for argument in arguments]) == status
    shown = capsys.readouterr()
    assert words in shown.out + shown.err
    would_run = words == "sub-01: would run"  # the others may be refused
    assert shown.out.count("would run") == would_run and len(shown.err.splitlines()) == (not would_run)
    assert ("its label has characters" in shown.out) == (change is hostile_folder)
    assert sorted(tmp_path.rglob("*")) == before
    table.add("Datasets", name, status, (shown.err or shown.out).splitlines()[0], "nothing: a dry run")


@pytest.mark.parametrize(
    ("name", "folder", "entity"),
    [
        ("spaces in paths", "my data set", "run-1"),
        ("non-ASCII paths", "データ-é-ß", "run-1"),
        ("a file name of 255 bytes", "bids", "acq-" + "x" * (255 - len("sub-01_acq-_T1w.nii.gz"))),
        ("a folder named sub-study above", "sub-study/bids", "run-1"),
        ("shell characters in paths", "a;b $(id) & 'c' \"d\"", "run-1"),
    ],
)
def test_paths(tmp_path, capsys, table, name, folder, entity):
    root = bidsets.empty_dataset(tmp_path / folder)
    inputs.written()(root / "sub-01", "01")
    scan = root / "sub-01/anat/sub-01_T1w.nii.gz"
    scan.rename(scan.with_name(f"sub-01_{entity}_T1w.nii.gz"))
    assert main([str(root), str(tmp_path / "out"), "participant", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"sub-01: would run on T1w sub-01_{entity}_T1w.nii.gz" in shown
    table.add("Datasets", name, 0, shown.splitlines()[0][:120], "nothing: a dry run")


def test_a_label_that_is_too_long(tmp_path, capsys, table):
    root = small(tmp_path / "bids", f"sub-{'x' * 200}/anat/sub-{'x' * 20}_T1w.nii.gz")
    scan = next(root.rglob("*.nii.gz"))
    scan.rename(scan.with_name(f"sub-{'x' * 200}_T1w.nii.gz"))
    assert main([str(root), str(tmp_path / "out"), "participant"]) == 1
    shown = capsys.readouterr().err
    assert "are too long for the names of the outputs" in shown
    seen = shown.splitlines()[0].split(": ", 1)[1]
    table.add("Datasets", "a label of 200 characters", 1, seen, "the log")


def test_a_dataset_of_links_without_content(tmp_path, capsys, table):
    """902 sessions of a cohort that was installed but not fetched: one message per session."""
    bidsets.empty_dataset(tmp_path / "bids")
    for number in range(902):
        name = f"sub-M{number % 230:04d}_ses-{number // 230}"
        anat = tmp_path / "bids" / name.replace("_", "/") / "anat"
        anat.mkdir(parents=True)
        for suffix in ("T1w", "T2w", "FLAIR"):
            (anat / f"{name}_{suffix}.nii.gz").symlink_to("../../../" + inputs.ANNEX)
    arguments = [str(tmp_path / "bids"), str(tmp_path / "out"), "participant"]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    log = (tmp_path / "out/logs/bids_stroke.log").read_text()
    assert log.count("get it with datalad get") == 902
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
    assert "Traceback" not in shown.err + shown.out
    row = log.splitlines()[0].split(" ", 2)[2]
    table.add("Datasets", "902 sessions of links without content", 1, row, "the log")


def card(**changes):
    return describe(cards.make()) | changes


def weights(**changes):
    return card(weights={"sha256": "0" * 64, "bytes": 1, "licence": "CC0", **changes})


CARDS = {
    "no YAML": "name: [",
    "no mapping": "- 1\n- 2\n",
    "text alone": "just text",
    "nested too deep": "[" * 100_000,
    "a Python object": "name: !!python/object/apply:os.system ['touch hacked']\n",
    "aliases that multiply": "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "larger than a megabyte": "# " + "x" * 1_000_001,
    "control characters": "name: \x07",
    "no key but the name": "name: x",
    "weights in another folder": weights(file="../../etc/passwd"),
    "weights by an absolute path": weights(file="/etc/passwd"),
    "weights by http": weights(url="http://localhost/w"),
    "weights by file://": weights(url="file:///etc/passwd"),
    "a name with a path to another folder": card(name="../../x"),
    "a checksum that is none": weights(file="w", sha256="../x"),
    "members in another folder": {**card(fusion="mean", members=["../other.yaml"])},
    "a spacing of 0": card(spacing=[0, 2, 2]),
    "a tile of 100000 voxels": card(tile=[100_000] * 3),
    "a threshold of NaN": card(threshold=float("nan")),
}


@pytest.mark.parametrize("name", CARDS)
def test_cards(tmp_path, capsys, table, monkeypatch, name):
    root = small(tmp_path / "bids")
    content, path = CARDS[name], tmp_path / "card.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    arguments = [str(root), str(tmp_path / "out"), "participant", "--model", str(path), "--dry-run"]
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "card.yaml" in shown.err and len(shown.err.splitlines()) == 1
    assert not (tmp_path / "hacked").exists()
    table.add("Cards of models", name, 2, shown.err, "nothing")


def oblique(data, affine):
    turn = nib.eulerangles.euler2mat(0.2, 0.1, 0.3)
    return data, nib.affines.from_matvec(turn @ affine[:3, :3], affine[:3, 3])


def thin(data, affine):
    return np.repeat(data[20:40, 20:40, 10:25], 13, 2), affine @ np.diag([1, 1, 0.075, 1])


FORMATS = {
    "uint8": (lambda d, a: (d.clip(0, 250), a), {"dtype": np.uint8}),
    "int16 with a slope": (lambda d, a: (d, a), {"dtype": np.int16}),
    "float64": (lambda d, a: (d, a), {"dtype": np.float64}),
    "big-endian": (lambda d, a: (d, a), {"endianness": ">"}),
    ".nii": (lambda d, a: (d, a), {"end": ".nii"}),
    "NIfTI-2": (lambda d, a: (d, a), {"kind": nib.Nifti2Image}),
    "a fourth axis of one": (lambda d, a: (d[..., None], a), {}),
    "negative intensities": (lambda d, a: (d - 1000, a), {}),
    "oblique": (oblique, {}),
    "left-handed": (lambda d, a: (d[::-1], a @ nib.affines.from_matvec(
        np.diag([-1, 1, 1]), [d.shape[0] - 1, 0, 0])), {}),
    "axes in another order": (lambda d, a: (d.transpose(2, 0, 1), a[:, [2, 0, 1, 3]]), {}),
    "slices of 0.3 mm": (thin, {}),
    "slices of 6 mm": (lambda d, a: (d, a @ np.diag([1, 1, 1.5, 1])), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_supported_formats(tmp_path, monkeypatch, table, name):
    """The first step of the app preserves the world coordinates and values of all voxels."""
    from bids_stroke.interfaces.spatial import Conform

    change, how = FORMATS[name]
    data, affine = change(*inputs.voxels())
    kind = how.get("kind", nib.Nifti1Image)
    header = kind.header_class(endianness=how.get("endianness", "<"))
    img = kind(data, affine, header)
    img.set_data_dtype(how.get("dtype", np.float32))
    path = tmp_path / f"x{how.get('end', '.nii.gz')}"
    nib.save(img, path)
    monkeypatch.chdir(tmp_path)
    out = nib.load(Conform(in_file=str(path)).run().outputs.out_file)
    assert nib.aff2axcodes(out.affine) == ("R", "A", "S")
    expected = np.squeeze(data)
    rng = np.random.default_rng(0)
    voxels = np.stack([rng.integers(0, side, 200) for side in expected.shape], 1)
    world = nib.affines.apply_affine(affine, voxels)
    moved = np.rint(nib.affines.apply_affine(np.linalg.inv(out.affine), world)).astype(int)
    step = np.ptp(data) / 2**15 if how.get("dtype") == np.int16 else 1 if "dtype" in how else 1e-3
    np.testing.assert_allclose(out.get_fdata()[tuple(moved.T)], expected[tuple(voxels.T)], atol=step)
    table.add(
        "Formats", name, 0, "supported: voxels keep their positions and values", "as for any image"
    )


def test_sessions_with_runs_without_content(tmp_path, capsys, table):
    """A run without content is reported and does not replace a run with content."""
    root = small(tmp_path / "bids", "sub-01/anat/sub-01_run-1_T1w.nii.gz")
    (root / "sub-01/anat/sub-01_run-2_T1w.nii.gz").symlink_to(inputs.ANNEX)
    assert main([str(root), str(tmp_path / "out"), "participant", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    chosen, unused = shown.splitlines()[1:]
    assert "sub-01_run-1_T1w.nii.gz was chosen from 2" in chosen
    assert "sub-01_run-2_T1w.nii.gz has no content here; get it with datalad get" in unused
    seen = unused
    table.add("Datasets", "one of two runs without content", 0, seen, "nothing: a dry run")


def test_a_report_escapes_the_data(tmp_path):
    """Markup in reasons, notes and QC flags is escaped in the report."""
    from bids_stroke.reports.participant.report import participant_report

    bad = "<script>alert(1)</script>"
    entry = record.Record("sub-01", "x", error=bad, notes=[bad], flags={"contrast": bad})
    entry.write(tmp_path)
    page = participant_report(tmp_path, "01").read_text()
    assert bad not in page and "&lt;script&gt;" in page
    assert json.loads(logs.record_path(tmp_path, "sub-01").read_text())["error"] == bad
