"""Datasets as used by labs: files that are used, files that are not, and the messages."""

import json
import re

import bidsets
import nibabel as nib
import numpy as np
import pytest
from faults.running import masks, participant, run

from bids_stroke.bids import record
from bids_stroke.cli.run import main

pytestmark = pytest.mark.slow

KIND = "Files"
HEAD, SLAB, FINE = (16, 20, 16), (16, 20, 8), (32, 40, 32)
SPACE = "space-MNI152NLin2009aSym"


def add(folder, name, shape=HEAD, shift=0.0):
    """Write an image or mask of 192×240×192 mm; a slab has a thickness of 40 mm."""
    path = folder / f"{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    spacing = 192 / shape[0]
    affine = np.diag([spacing, spacing, 5.0 if shape == SLAB else spacing, 1.0])
    affine[0, 3] = shift
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), path)


def anat(name):
    return f"sub-01/anat/sub-01_{name}"


def two_runs(mask):
    """Two runs with a distance of 12 mm, and a mask."""

    def make(root):
        add(root, anat("run-01_T1w"))
        add(root, anat("run-02_T1w"), shift=12)
        add(root / "derivatives/masks", anat(mask))

    return make


def images(**names):
    def make(root):
        for name, shape in names.items():
            add(root, anat(name.replace("__", "-")), shape)

    return make


def paths(*names, mask_names=()):
    def make(root):
        for name in names:
            add(root, name)
        for name in mask_names:
            add(root / "derivatives/masks", name)

    return make


def with_file(make, name, content):
    def both(root):
        make(root)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return both


def with_folder(make, name):
    def both(root):
        make(root)
        (root / name).mkdir(parents=True)

    return both


def linked(make, links):
    """Add links to a dataset."""

    def both(root):
        make(root)
        for name, target in links.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)

    return both


def mask_filter(content):
    return {"lesion": content}


#: Function that writes the files, filters, part of the line of the session, and parts of other lines.
CASES = {
    "a mask of run-1, images of run-01 and run-02 12 mm apart": (
        two_runs("run-1_space-T1w_label-L_mask"), None, "would run on T1w sub-01_run-01_T1w.nii.gz",
        ["not used: sub-01_run-02_T1w.nii.gz (the lesion mask"]),
    "a mask of run-3, images of run-01 and run-02": (
        two_runs("run-3_space-T1w_label-L_mask"), None, "with run-3, which sub-01 does not have", []),
    "a brain mask of run-3, an image of run-1": (
        paths(anat("run-1_T1w"), mask_names=[anat("run-3_desc-brain_mask")]), {},
        "is a brain mask of run-3", []),
    "a brain mask of run-1, the image chosen of run-2": (
        paths(anat("run-1_T1w"), anat("run-2_T1w"), mask_names=[anat("run-1_desc-brain_mask")]), {},
        "would run on T1w sub-01_run-2_T1w.nii.gz",
        ["does not belong to sub-01_run-2_T1w.nii.gz"]),
    "part-phase beside part-mag": (
        images(part__mag_T1w=HEAD, part__phase_T1w=FINE), {}, "on T1w sub-01_part-mag_T1w.nii.gz",
        ["not used: sub-01_part-phase_T1w.nii.gz (part-phase is not a magnitude image)"]),
    "an image in template space beside the native one": (
        images(space__MNI152NLin2009aSym_T1w=FINE, T1w=HEAD), {}, "would run on T1w sub-01_T1w.nii.gz",
        [f"not used: sub-01_{SPACE}_T1w.nii.gz (it is in space MNI152NLin2009aSym;"]),
    "only an image in template space": (
        images(space__MNI152NLin2009aSym_T1w=FINE), {}, "refused: it has no usable T1w, FLAIR or T2w",
        ["filter by space to use it"]),
    "a finer slab": (
        images(acq__slab_T1w=SLAB, T1w=HEAD), {}, "would run on T1w sub-01_T1w.nii.gz",
        ["its field of view of 192×240×40 mm does not cover the brain"]),
    "two echoes": (
        images(echo__1_T1w=HEAD, echo__2_T1w=HEAD), {}, "would run on T1w sub-01_echo-1_T1w.nii.gz",
        ['to choose sub-01_echo-2_T1w.nii.gz, filter with {"t1w": {"echo": 2}}']),
    "two runs": (
        images(run__1_T1w=HEAD, run__2_T1w=HEAD), {}, "would run on T1w sub-01_run-2_T1w.nii.gz",
        [': the latest run; to choose sub-01_run-1_T1w.nii.gz, filter with {"t1w": {"run": 1}}']),
    "MP2RAGE": (
        images(UNIT1=HEAD, inv__1_MP2RAGE=HEAD, inv__2_part__mag_MP2RAGE=HEAD), {},
        "has no T1w, FLAIR or T2w image in an anat folder of sub-01",
        ["remove the noise and name the image T1w"]),
    "desc- and _defacemask beside the raw image": (
        images(desc__denoised_T1w=FINE, T1w_defacemask=HEAD, T1w=HEAD), {},
        "would run on T1w sub-01_T1w.nii.gz",
        ["it is derived from another image", "(defacemask is not a supported contrast)"]),
    "T1w at the level of the participant, FLAIR in the only session": (
        paths("sub-01/anat/sub-01_T1w", "sub-01/ses-1/anat/sub-01_ses-1_FLAIR"), {},
        "sub-01_ses-1: would run on T1w sub-01_T1w.nii.gz, FLAIR sub-01_ses-1_FLAIR.nii.gz",
        ["has no ses- in its name and is assigned to the only session"]),
    "T1w at the level of the participant beside two sessions": (
        paths("sub-01/anat/sub-01_T1w", *(f"sub-01/ses-{n}/anat/sub-01_ses-{n}_T1w" for n in "12")), {},
        "sub-01: refused: it has 2 sessions, but these images have no ses- in their names",
        ["sub-01_ses-2: would run"]),
    "a mask without session for two sessions": (
        paths(*(f"sub-01/ses-{n}/anat/sub-01_ses-{n}_T1w" for n in "12"),
              mask_names=[anat("space-T1w_label-L_mask")]), None,
        "sub-01_space-T1w_label-L_mask.nii.gz has no ses- in its name, but sub-01 has several", []),
    "a filter of masks by run 1": (
        paths(anat("run-01_T1w"), anat("run-02_T1w"),
              mask_names=[anat(f"run-0{n}_label-L_mask") for n in "12"]),
        mask_filter({"run": 1}), "would run on T1w sub-01_run-01_T1w.nii.gz",
        ["run-02_label-L_mask.nii.gz (the lesion filter excludes it: run-02 is not 1)"]),
    "a filter that no mask passes": (
        paths(anat("T1w"), mask_names=[anat("run-01_label-L_mask")]), mask_filter({"run": [2, None]}),
        "run-01 is not [2, null]", []),
    "several sessions only in the file names": (
        paths(anat("ses-1_T1w"), anat("ses-2_T1w"), anat("ses-1_FLAIR")), {},
        "sub-01: refused: these images are outside the folder of the session in their names", []),
    "an image of ses-2 beside the only session ses-1": (
        paths("sub-01/ses-1/anat/sub-01_ses-1_FLAIR", anat("ses-2_T1w")), {},
        "sub-01_ses-1: refused: these images are outside the folder of the session in their names: "
        "sub-01_ses-2_T1w.nii.gz", []),
    "one session only in the file names": (
        images(ses__1_T1w=HEAD), {}, "would run on T1w sub-01_ses-1_T1w.nii.gz", []),
    "a folder of masks with links to itself and to a participant": (
        linked(paths(anat("T1w"), mask_names=[anat("space-T1w_label-L_mask")]),
               {"derivatives/masks/sub-01/all": "..", "derivatives/masks/latest": "sub-01"}),
        None, "would run on T1w sub-01_T1w.nii.gz",
        ["The lesion mask is ", "masks/sub-01/anat/sub-01_space-T1w_label-L_mask.nii.gz."]),
    "a brain mask in a session behind a link": (
        linked(paths("sub-01/ses-1/anat/sub-01_ses-1_T1w", "other/anat/sub-01_ses-1_desc-brain_mask"),
               {"derivatives/masks/sub-01/ses-1": "../../../other"}),
        {}, "would run on T1w sub-01_ses-1_T1w.nii.gz",
        ["The brain mask is ", "sub-01/ses-1/anat/sub-01_ses-1_desc-brain_mask.nii.gz."]),
    "--derivatives above the dataset of brain masks": (
        paths(anat("T1w"), "derivatives/masks/fmriprep/sub-01/anat/sub-01_desc-brain_mask"), {},
        "masks contains no brain mask (sub-*/**/anat/*_desc-brain_mask.nii.gz) of a participant", []),
    "only brain masks of another participant": (
        paths(anat("T1w"), mask_names=["sub-1/anat/sub-1_desc-brain_mask"]), {},
        "masks contains no brain mask (sub-*/**/anat/*_desc-brain_mask.nii.gz) of a participant", []),
    "a participant that DataLad has not installed": (
        with_folder(images(T1w=HEAD), "sub-02"), {}, "sub-02: refused: its folder is empty",
        ["sub-01: would run"]),
    "a session without any file": (
        with_folder(paths("sub-01/ses-1/anat/sub-01_ses-1_T1w"), "sub-01/ses-2/anat"), {},
        "sub-01_ses-2: refused: its folder is empty", ["sub-01_ses-1: would run"]),
    "a dot in a name": (
        paths(anat("acq-0.8mm_T1w")), {},
        "sub-01_acq-0.8mm_T1w.nii.gz (its name has a dot, which BIDS allows only before the", []),
    "contrast agent in an inherited sidecar": (
        with_file(images(acq__gd_T1w=FINE, acq__mprage_T1w=HEAD), "acq-gd_T1w.json",
                  b'{"ContrastBolusIngredient": "GADOLINIUM"}'), {},
        "would run on T1w sub-01_acq-mprage_T1w.nii.gz", ["(it was acquired with a contrast agent)"]),
    "contrast agent n/a": (
        with_file(images(acq__fine_T1w=FINE, acq__mprage_T1w=HEAD), anat("acq-fine_T1w.json"),
                  b'{"ContrastBolusIngredient": "n/a"}'), {},
        "would run on T1w sub-01_acq-fine_T1w.nii.gz", ["are larger (1.73e+03 mm³)"]),
    "a T2w that the model does not need": (
        images(T1w=HEAD, T2w=HEAD), {},
        "sub-01: would run on T1w sub-01_T1w.nii.gz; T1w is the reference",
        ["not used: sub-01_T2w.nii.gz (T2w is not needed)"]),
    "hidden files": (
        with_file(images(T1w=HEAD), "sub-01/anat/._sub-01_T1w.nii.gz", b"\0\5\x16\7"), {},
        "would run on T1w sub-01_T1w.nii.gz", []),
    ".bidsignore": (
        with_file(images(run__1_T1w=HEAD, run__2_T1w=HEAD), ".bidsignore", b"*_run-2_*\n"), {},
        "would run on T1w sub-01_run-1_T1w.nii.gz",
        ["not used: sub-01_run-2_T1w.nii.gz (it is listed in .bidsignore)"]),
    "masks of both hemispheres": (
        paths(anat("T1w"), mask_names=[anat(f"hemi-{side}_label-L_mask") for side in "LR"]), None,
        "may be parts of one lesion; merge them into one file", []),
    "masks of two lesions": (
        paths(anat("T1w"), mask_names=[anat(f"label-L_desc-lesion{n}_mask") for n in "12"]), None,
        "may be parts of one lesion; merge them into one file", []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_files(tmp_path, capsys, table, name):
    """A dry run shows the files that are used and not used, with reasons."""
    make, filters, words, more = CASES[name]
    root = bidsets.empty_dataset(tmp_path / "bids")
    make(root)
    given = ["--derivatives", root / "derivatives/masks"] if (root / "derivatives").exists() else []
    if filters is None or "lesion" in filters:
        given = ["--lesion-derivatives", root / "derivatives/masks"]
    if filters:
        (tmp_path / "filters.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(filters).encode())
        given += ["--bids-filter-file", tmp_path / "filters.json"]
    arguments = [root, tmp_path / "out", "participant", "--dry-run", *given]
    status = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    lines = (shown.out + shown.err).splitlines()
    seen = next(line for line in lines if words in line)
    assert status == ("bids_stroke: error: " in seen or ": refused: " in seen)
    assert all(text in "".join(lines) for text in more)
    if not status:
        assert all(path.name in shown.out for path in root.rglob("sub-*.nii.gz"))
    unused = [line.strip() for line in lines if line.startswith("  ")]
    seen = re.sub(r"^bids_stroke: error: ", "", seen)
    table.add(KIND, name, "1" if status else "dry run", " ".join([seen, *unused[:1]]), "nothing")


def test_ambiguous_choices_are_in_log_report_and_summary(tmp_path, table):
    """Two masks in template spaces: the choice is shown in all outputs."""
    root = masks(tmp_path / "bids", "01")
    first = next((root / "sub-01/anat").iterdir())
    other = first.with_name(first.name.replace("2009aSym", "6Asym"))
    other.write_bytes(first.read_bytes())
    out = tmp_path / "out"
    done = run(*participant(root, out), COLUMNS="400")
    assert done.returncode == 0
    (sentence,) = record.read(out, "sub-01").ambiguous
    assert '{"lesion": {"space": "MNI152NLin6Asym"}}' in sentence and "chosen from 2" in sentence
    assert sentence in (out / "logs/bids_stroke.log").read_text()
    page = (out / "sub-01.html").read_text()
    assert f'<p class="warning">{_escaped(sentence.replace(f"{root}/", ""))}</p>' in page
    assert "chosen from 2" in done.stdout
    again = run(*participant(root, out), COLUMNS="400")  # up to date, with the same choice
    assert "up to date" in again.stdout and "chosen from 2" in again.stdout
    table.add(KIND, "masks in two template spaces", 0, sentence, "all; the choice in log and report")


def _escaped(text):
    from markupsafe import escape

    return escape(text)


def test_the_c_locale_without_utf_8(tmp_path, table):
    """Names and texts are in UTF-8 for any locale."""
    root = masks(tmp_path / "データ-é", "01")
    (root / "participants.tsv").write_text("participant_id\tsite\nsub-01\tZürich\n", encoding="utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out = root / "out-ß"
    done = run(*participant(root, out), **locale)
    assert done.returncode == 0, done.stderr
    entry = record.read(out, "sub-01")
    assert entry.complete(out) and "データ-é" in entry.inputs["lesion mask"]
    assert run(root, out, "group", **locale).returncode == 0
    assert "Zürich" in (out / "group_lesion.tsv").read_text(encoding="utf-8")
    table.add(KIND, "C locale, UTF-8 mode off, non-ASCII paths", 0, "sub-01: ok", "all, as in UTF-8")
