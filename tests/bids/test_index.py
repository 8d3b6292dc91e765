import multiprocessing

import pytest

from bids_stroke.bids import index
from bids_stroke.errors import UsageError


@pytest.fixture
def root(tmp_path):
    return add(
        tmp_path / "bids",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.json",
        "sub-01/ses-1/dwi/sub-01_ses-1_dwi.nii.gz",
        "sub-01/ses-1/dwi/sub-01_ses-1_rec-TRACE_dwi.nii",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
        "sub-01/ses-2/func/sub-01_ses-2_task-rest_bold.json",
        "sub-02/anat/sub-02_FLAIR.nii.gz",
    )


def add(root, *paths):
    for path in map(root.joinpath, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(images):
    return {key: [path.name for path in paths] for key, paths in images.items()}


def test_images_and_sessions_are_indexed(root):
    (root / "sub-03").mkdir()
    assert names(index.Index(root).by_session()) == {
        ("01", "1"): ["sub-01_ses-1_T1w.nii.gz", "sub-01_ses-1_rec-TRACE_dwi.nii"],
        ("01", "2"): ["sub-01_ses-2_task-rest_bold.json"],
        ("02", None): ["sub-02_FLAIR.nii.gz"],
    }


def test_empty_folders_of_selected_participants(root):
    for folder in ("sub-01/ses-3", "sub-03", "sub-04"):
        (root / folder).mkdir()
    dataset = index.Index(root)
    assert sorted(dataset.empty_folders()) == ["sub-01/ses-3", "sub-03", "sub-04"]
    assert list(dataset.empty_folders({"03", "05"})) == ["sub-03"]


def test_queries_name_entities(root):
    images = index.Index(root).by_session(datatype="dwi", suffix="dwi", reconstruction="TRACE")
    assert names(images) == {("01", "1"): ["sub-01_ses-1_rec-TRACE_dwi.nii"]}
    assert index.Index(root).by_session(suffix="bold", extension=[".nii.gz"]) == {}


def test_a_folder_with_the_name_of_an_image_is_indexed(root):
    (root / "sub-02/anat/sub-02_T1w.nii.gz").mkdir()
    assert ("02", None) in index.Index(root).by_session(suffix="T1w")


def test_an_index_is_created_once_and_reused(root, tmp_path):
    folder = tmp_path / "kept"
    before = index.Index(root, folder).by_session()
    assert [path.name for path in folder.iterdir()] == [index.DATABASE]
    state = (folder / index.DATABASE).stat()
    add(root, "sub-04/anat/sub-04_T1w.nii.gz")  # not in the existing index
    assert index.Index(root, folder).by_session() == before
    assert (folder / index.DATABASE).stat() == state
    assert len(index.Index(root).by_session()) == len(before) + 1


def test_an_index_of_another_dataset_is_refused(root, tmp_path):
    folder = tmp_path / "kept"
    index.write(root, folder)
    with pytest.raises(UsageError, match=r"is the index of .*bids; change --bids"):
        index.Index(add(tmp_path / "other", "sub-01/anat/sub-01_T1w.nii.gz"), folder)


def _write_repeatedly(barrier, root, folder):
    barrier.wait()
    for _ in range(5):
        index.write(root, folder)


def test_several_runs_can_write_an_index_concurrently(root, tmp_path):
    """A concurrent reader always sees a complete index."""
    folder = tmp_path / "kept"
    index.write(root, folder)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    arguments = (barrier, root, folder)
    writers = [context.Process(target=_write_repeatedly, args=arguments) for _ in range(2)]
    for writer in writers:
        writer.start()
    barrier.wait()
    while any(writer.is_alive() for writer in writers):
        assert len(index.Index(root, folder).by_session()) == 3
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in folder.iterdir()] == [index.DATABASE]
