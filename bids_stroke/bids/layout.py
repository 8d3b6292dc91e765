"""The images of a dataset by contrast and session, after the filters."""

from collections.abc import Iterator
from pathlib import Path

from bids_stroke.errors import UsageError

from . import filters
from .filters import Filter, Filters
from .folders import split_folders
from .names import FOLDERS, IMAGE_EXTENSIONS, TRACE, Name, contrast_of, is_dotted, is_image
from .sessions import Unused

#: Why an image of another suffix is not used.
_OTHER_SUFFIX = {
    "UNIT1": "UNIT1 of MP2RAGE has noise around the head; remove the noise and name the image T1w",
    "MP2RAGE": "a single inversion of MP2RAGE is no T1w",
}


class Images:
    """The images of a dataset by contrast and session, after the filters.

    Parameters
    ----------
    bids_dir : Path
    filters : mapping
        A filter may name any entity; its keys are contrasts in lower case, as in fMRIPrep.
    database_dir : Path, optional
        Folder of an index that is reused, or made if there is none.
    """

    def __init__(
        self, bids_dir: Path, *, filters: Filters | None = None, database_dir: Path | None = None
    ) -> None:
        from .index import Index  # PyBIDS is slow to load

        self.root = bids_dir
        self._index = Index(bids_dir, database_dir)
        self._filters = filters or {}
        #: Files of each session, and of each participant beside its sessions (None).
        self.sessions = self._index.by_session()
        self._ignored = self._index.ignored_by_session()
        self._images: dict[str, dict[tuple[str, str | None], list[Path]]] = {}

    def filter_of(self, contrast: str) -> Filter:
        """The filter of a contrast; empty without one."""
        return self._filters.get(contrast.lower(), {})

    def ignores_folder(self, relative: str) -> bool:
        """Whether ``.bidsignore`` lists a folder, relative to the dataset."""
        return self._index.ignore.ignores_folder(relative)

    def empty_folders(self) -> list[tuple[str, str | None]]:
        """Participants and sessions whose folders hold no file, and are not ignored."""
        return [
            labels
            for folder in self._index.empty_folders()
            if (labels := split_folders(f"{folder}/"))
            and labels not in self.sessions
            and labels not in self._ignored
            and not self.ignores_folder(folder)
        ]

    def has_images(self, subject: str, label: str | None) -> bool:
        """Whether a session has an image of a contrast."""
        return any(map(contrast_of, self.sessions.get((subject, label), [])))

    def of(self, contrast: str, subject: str, label: str | None) -> list[Path]:
        """Paths of the images of a contrast of a session.

        Raises
        ------
        UsageError
            If the filter of the contrast cannot be used.
        """
        if contrast not in self._images:
            self._images[contrast] = self._query(contrast)
        return list(self._images[contrast].get((subject, label), []))

    def others(self, subject: str, label: str | None) -> Iterator[Unused]:
        """The images of a session that are of no contrast, or that a filter or ``.bidsignore`` leaves
        out."""
        for path in filter(contrast_of, self._ignored.get((subject, label), [])):
            yield Unused(path, ".bidsignore lists it")
        for path in self.sessions.get((subject, label), []):
            if path.parent.name not in FOLDERS or not is_image(path.name):
                continue
            contrast = contrast_of(path)
            if contrast is None and is_dotted(path):
                yield Unused(path, "its name has a dot, which BIDS allows before the extension alone")
            elif contrast is None:
                suffix = Name.parse(path).suffix
                yield Unused(path, _OTHER_SUFFIX.get(suffix, f"{suffix or 'it'} is no contrast in use"))
            elif path not in self.of(contrast, subject, label):
                reason = f"the filter of {contrast.lower()} leaves it out"
                yield Unused(path, reason)

    def _query(self, contrast: str) -> dict[tuple[str, str | None], list[Path]]:
        """Images of a contrast by participant and session."""
        query: dict[str, object] = {"extension": list(IMAGE_EXTENSIONS)}
        if contrast == TRACE:
            query |= {"datatype": "dwi", "suffix": "dwi", "reconstruction": TRACE}
        else:
            query |= {"datatype": "anat", "suffix": contrast}
        values = filters.for_pybids(self.filter_of(contrast))
        try:
            found = self._index.by_session(**{**query, **values})
        except Exception as error:  # of PyBIDS, of its database, of a pattern
            reason = " ".join(str(error).partition(" If you")[0].partition("[SQL")[0].split())
            raise UsageError(f"--bids-filter-file cannot filter {contrast} images: {reason}") from None
        others = [p for paths in found.values() for p in paths if contrast_of(p) != contrast]
        if others:
            raise UsageError(
                f"--bids-filter-file takes {others[0].name} for a {contrast} image; leave suffix out "
                "of the filter."
            )
        return found
