"""PyBIDS's index of the images of a dataset.

PyBIDS would read every file below the root, ten times slower than the app starts; what the app looks
for are images of two folders of each session.
"""

import json
import os
import re
import shutil
import warnings
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from bids import BIDSLayout
from bids.config import get_option
from bids.layout.models import BIDSFile, Tag

from bids_stroke.errors import DatasetError
from bids_stroke.utils import files

#: PyBIDS's name for the file of an index.
DATABASE = "layout_index.sqlite"
#: Folders with images, and what their names hold: of diffusion, maps are of use, not series.
FOLDERS = {"anat": "", "dwi": "_rec-"}
EXTENSIONS = (".nii", ".nii.gz")


class Index:
    """The images of a dataset by query; all are found at once, since a query per session takes
    minutes on a large dataset.

    Parameters
    ----------
    bids_dir : Path
    kept : Path, optional
        Folder of an index that is reused, or made if there is none.

    Raises
    ------
    DatasetError
        If the index is one of another dataset.
    """

    def __init__(self, bids_dir, kept=None):
        self.root = bids_dir
        if kept is None:
            self._layout = _layout(bids_dir)
            return
        if not (kept / DATABASE).is_file():
            write(bids_dir, kept)
        self._folder = TemporaryDirectory(prefix="bids_stroke-index-")  # a private copy
        shutil.copyfile(kept / DATABASE, Path(self._folder.name) / DATABASE)
        self._layout = _layout(bids_dir, self._folder.name)
        if Path(self._layout.root) != bids_dir:
            raise DatasetError(
                f"{kept} is the index of {self._layout.root}; give another --bids-database-dir."
            )

    def by_session(self, **query):
        """Paths by participant and session (None without sessions)."""
        found = {}
        start = len(str(self.root)) + 1
        for path in self._layout.get(return_type="filename", **query):
            if names := re.match(r"sub-([^/]+)/(?:ses-([^/]+)/)?", path[start:]):
                found.setdefault(names.groups(), []).append(Path(path))
        return found


def write(bids_dir, folder):
    """Write the index of a dataset to ``folder``, atomically: other runs may do the same."""
    with files.atomic(folder / DATABASE) as partial:
        _layout(bids_dir, partial.parent)


def _index_images(layout):
    """Index the images of sessions (an indexer of PyBIDS, which has objects made for each file)."""
    entities = [one for config in layout.config.values() for one in config.entities.values()]
    files, tags = [], []
    for path in _files(layout.root):
        folder, name = os.path.split(path)
        file = SimpleNamespace(path=path, filename=name, dirname=folder, is_dir=False, class_="file")
        files.append(vars(file))
        for entity in entities:
            if (value := entity.match_file(file)) is not None:
                tags.append({
                    "file_path": path,
                    "entity_name": entity.name,
                    "_value": str(value),
                    "_dtype": entity._dtype,
                    "is_metadata": False,
                })  # fmt: skip
    session = layout.connection_manager.session
    session.bulk_insert_mappings(BIDSFile, files)
    session.bulk_insert_mappings(Tag, tags)
    session.commit()


def _files(root):
    """Images of the sessions of a dataset; for a session without any, another file stands."""
    for subject in _inside(root, "sub-"):
        sessions = _inside(subject.path, "ses-")
        for session in sessions or [subject]:
            images = [
                file.path
                for folder, held in FOLDERS.items()
                for file in _scan(os.path.join(session.path, folder))
                if file.name.endswith(EXTENSIONS) and held in file.name
            ]
            walk = os.walk(session.path)
            others = (os.path.join(where, name) for where, _, names in walk for name in names)
            yield from images or islice(others, 1)


def _inside(folder, start):
    return [one for one in _scan(folder) if one.name.startswith(start) and one.is_dir()]


def _scan(folder):
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _layout(bids_dir, database=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BIDSLayout(
            bids_dir,
            validate=False,
            config=[_entities_below(bids_dir)],
            indexer=_index_images,
            database_path=database,
        )


def _entities_below(root):
    """PyBIDS's patterns of entities, for names below ``root``: by default they take a folder named
    sub-study above the dataset for the participant of every file."""
    config = json.loads(Path(get_option("config_paths")["bids"]).read_text())
    for entity in config["entities"]:
        entity["pattern"] = f"^{re.escape(str(root))}.*?(?:{entity['pattern']})"
    return config
