"""PyBIDS index of the images of a dataset.

By default, PyBIDS reads every file below the root, which takes ten times longer than the start of the
app. The app needs only the images in two folders of each session, so this index contains only those.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from bids import BIDSLayout
from bids.config import get_option
from bids.layout.models import BIDSFile, Tag

from bids_stroke.errors import UsageError
from bids_stroke.utils import files
from bids_stroke.utils.files import PathLike

from .bidsignore import BidsIgnore
from .folders import split_folders
from .names import FOLDERS, NUMBERED, contrast_of, is_hidden, is_image

#: File name of a PyBIDS index.
DATABASE = "layout_index.sqlite"


class Index:
    """Images of a dataset by query.

    A query covers all sessions, because a query per session takes minutes on a large dataset.

    Parameters
    ----------
    bids_dir : Path
    database_dir : Path, optional
        Folder of an index that is reused, or created if it does not exist.

    Raises
    ------
    UsageError
        If the index belongs to another dataset.
    """

    def __init__(self, bids_dir: Path, database_dir: Path | None = None) -> None:
        self.root = bids_dir
        self.ignore = BidsIgnore(bids_dir)
        if database_dir is None:
            self._layout = _layout(bids_dir)
            return
        if not (database_dir / DATABASE).is_file():
            write(bids_dir, database_dir)
        self._folder = TemporaryDirectory(prefix="bids_stroke-index-")  # a private copy
        shutil.copyfile(database_dir / DATABASE, Path(self._folder.name) / DATABASE)
        self._layout = _layout(bids_dir, self._folder.name)
        if Path(self._layout.root) != bids_dir:
            raise UsageError(
                f"{database_dir} is the index of {self._layout.root}; change --bids-database-dir."
            )

    def by_session(self, **query: object) -> dict[tuple[str, str | None], list[Path]]:
        """Return the paths of the images that a PyBIDS query selects, by participant and session.

        The session is None without ``ses-``. Files that ``.bidsignore`` lists are excluded.
        """
        return self._by_session(query, ignored=False)

    def ignored_by_session(self) -> dict[tuple[str, str | None], list[Path]]:
        """Return the paths of the images that ``.bidsignore`` lists, by participant and session."""
        return {} if self.ignore.is_empty else self._by_session({}, ignored=True)

    def empty_folders(self, labels: Collection[str] = ()) -> Iterator[str]:
        """Yield the empty folders of sessions, or of participants without sessions.

        The paths are relative to the dataset. A folder with a hidden file is not empty. Only the
        participants with the given labels are searched; by default, all.
        """
        for subject in _folders(str(self.root), "sub-"):
            if labels and os.path.basename(subject).removeprefix("sub-") not in labels:
                continue  # a job of a cluster does not read the folders of the other jobs
            for folder in _folders(subject, "ses-") or [subject]:
                if not any(files for _, _, files in os.walk(folder)):
                    yield os.path.relpath(folder, self.root)

    def _by_session(
        self, query: Mapping[str, object], ignored: bool
    ) -> dict[tuple[str, str | None], list[Path]]:
        images: dict[tuple[str, str | None], list[Path]] = {}
        start = len(str(self.root)) + 1
        for path in self._layout.get(return_type="filename", **query):
            labels = split_folders(path[start:])
            if labels and self.ignore.ignores(path[start:]) == ignored:
                images.setdefault(labels, []).append(Path(path))
        return images


def write(bids_dir: Path, folder: Path) -> None:
    """Write the index of a dataset to ``folder``, atomically, since other runs may write it too."""
    with files.atomic(folder / DATABASE) as partial:
        _layout(bids_dir, partial.parent)


def _index_images(layout: BIDSLayout) -> None:
    """Index the images of sessions: an indexer for PyBIDS that inserts files in bulk."""
    entities = [entity for config in layout.config.values() for entity in config.entities.values()]
    files, tags = [], []
    for path in _images(layout.root):
        folder, name = os.path.split(path)
        file = SimpleNamespace(path=path, filename=name, dirname=folder, is_dir=False, class_="file")
        files.append(vars(file))
        for entity in entities:
            if (value := entity.match_file(file)) is not None:
                tags.append(
                    {
                        "file_path": path,
                        "entity_name": entity.name,
                        "_value": str(value),
                        "_dtype": entity._dtype,
                        "is_metadata": False,
                    }
                )
    session = layout.connection_manager.session
    session.bulk_insert_mappings(BIDSFile, files)
    session.bulk_insert_mappings(Tag, tags)
    session.commit()


def _images(root: str) -> Iterator[str]:
    """Yield the images of sessions, and images of participants outside of their session folders.

    A session without images is represented by any other of its files.
    """
    for subject in _folders(root, "sub-"):
        sessions = _folders(subject, "ses-")
        for session in sessions or [subject]:
            yield from _images_of_session(session) or islice(_all_files(session), 1)
        if sessions:
            yield from _images_of_session(subject)


def _images_of_session(folder: str) -> list[str]:
    return [
        file.path
        for kind in FOLDERS
        for file in _scan(os.path.join(folder, kind))
        if is_image(file.name) and (kind == "anat" or "_rec-" in file.name or contrast_of(file.path))
    ]


def _all_files(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            if not is_hidden(name):
                yield os.path.join(parent, name)


def _folders(folder: str, start: str) -> list[str]:
    return [item.path for item in _scan(folder) if item.name.startswith(start) and item.is_dir()]


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _layout(bids_dir: Path, database: PathLike | None = None) -> BIDSLayout:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BIDSLayout(
            bids_dir,
            validate=False,
            config=[_entities_below(bids_dir)],
            indexer=_index_images,
            database_path=database,
        )


def _entities_below(root: Path) -> dict[str, Any]:
    """Return the entity patterns of PyBIDS, restricted to paths below ``root``.

    By default, PyBIDS takes a folder such as sub-study above the dataset as the participant of every
    file. The entity ``desc`` is added, and numbered entities are integers.
    """
    config = json.loads(Path(get_option("config_paths")["bids"]).read_text(encoding="utf-8"))
    config["entities"].append({"name": "desc", "pattern": r"[_/\\]+desc-([a-zA-Z0-9+]+)"})
    for entity in config["entities"]:
        entity["pattern"] = f"^{re.escape(str(root))}.*?(?:{entity['pattern']})"
        if entity["name"] in NUMBERED:
            entity["dtype"] = "int"
    return config
