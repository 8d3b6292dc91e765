"""Images of a dataset by contrast and session, after filtering."""

from collections.abc import Collection, Iterator
from pathlib import Path

from bids_stroke.errors import UsageError

from . import filters
from .diffusion import DIFFUSION
from .filters import Filter, Filters
from .folders import split_folders
from .names import FOLDERS, IMAGE_EXTENSIONS, Name, contrast_of, is_dotted, is_image
from .sessions import Unused

#: Reasons why images with other suffixes are not used.
_OTHER_SUFFIX = {
    "UNIT1": "UNIT1 of MP2RAGE has noise around the head; remove the noise and name the image T1w",
    "MP2RAGE": "an MP2RAGE inversion image is not a T1w",
}


class Images:
    """Images of a dataset by contrast and session, after filtering.

    Parameters
    ----------
    bids_dir : Path
    filters : mapping
        Filters by contrast in lower case, as in fMRIPrep. A filter can use any entity.
    database_dir : Path, optional
        Folder of an index that is reused, or created if it does not exist.
    """

    def __init__(
        self, bids_dir: Path, *, filters: Filters | None = None, database_dir: Path | None = None
    ) -> None:
        from .index import Index  # PyBIDS is slow to load

        self.root = bids_dir
        self._index = Index(bids_dir, database_dir)
        self._filters = filters or {}
        #: Files of each session; files of a participant without ``ses-`` have the session None.
        self.sessions = self._index.by_session()
        self._ignored = self._index.ignored_by_session()
        self._images: dict[str, dict[tuple[str, str | None], list[Path]]] = {}

    def filter_of(self, contrast: str) -> Filter:
        """Return the filter of a contrast; empty without one."""
        return self._filters.get(contrast.lower(), {})

    def ignores_folder(self, relative: str) -> bool:
        """Return whether ``.bidsignore`` lists a folder (path relative to the dataset)."""
        return self._index.ignore.ignores_folder(relative)

    def empty_folders(self, participants: Collection[str]) -> list[tuple[str, str | None]]:
        """Return the participants and sessions whose folders are empty and not ignored.

        ``participants`` limits the search to participants with these labels.
        """
        return [
            labels
            for folder in self._index.empty_folders(participants)
            if (labels := split_folders(f"{folder}/"))
            and labels not in self.sessions
            and labels not in self._ignored
            and not self.ignores_folder(folder)
        ]

    def has_images(self, subject: str, label: str | None) -> bool:
        """Return whether a session has an image of any supported contrast."""
        return any(map(contrast_of, self.sessions.get((subject, label), [])))

    def of_contrast(self, contrast: str, subject: str, label: str | None) -> list[Path]:
        """Return the paths of the images of a contrast in a session.

        Raises
        ------
        UsageError
            If the filter of the contrast is invalid.
        """
        if contrast not in self._images:
            self._images[contrast] = self._query(contrast)
        return list(self._images[contrast].get((subject, label), []))

    def unused(self, subject: str, label: str | None) -> Iterator[Unused]:
        """Yield the images of a session that are excluded.

        They have no supported contrast, or a filter or ``.bidsignore`` excludes them.
        """
        for path in filter(contrast_of, self._ignored.get((subject, label), [])):
            yield Unused(path, "it is listed in .bidsignore")
        for path in self.sessions.get((subject, label), []):
            if path.parent.name not in FOLDERS or not is_image(path.name):
                continue
            contrast = contrast_of(path)
            if contrast is None and is_dotted(path):
                yield Unused(path, "its name has a dot, which BIDS allows only before the extension")
            elif contrast is None:
                suffix = Name.parse(path).suffix
                yield Unused(
                    path, _OTHER_SUFFIX.get(suffix, f"{suffix or 'it'} is not a supported contrast")
                )
            elif path not in self.of_contrast(contrast, subject, label):
                reason = f"the {contrast.lower()} filter excludes it"
                yield Unused(path, reason)

    def _query(self, contrast: str) -> dict[tuple[str, str | None], list[Path]]:
        """Query the images of a contrast; return them by participant and session."""
        query: dict[str, object] = {"extension": list(IMAGE_EXTENSIONS)}
        if contrast in DIFFUSION:
            query |= {"datatype": "dwi"}
        else:
            query |= {"datatype": "anat", "suffix": contrast}
        values = filters.for_pybids(self.filter_of(contrast))
        try:
            images = self._index.by_session(**{**query, **values})
        except Exception as error:  # from PyBIDS, its database, or a regular expression
            reason = " ".join(str(error).partition(" If you")[0].partition("[SQL")[0].split())
            raise UsageError(f"--bids-filter-file cannot filter {contrast} images: {reason}") from None
        if contrast in DIFFUSION:
            return _of_contrast(contrast, images)
        others = [p for paths in images.values() for p in paths if contrast_of(p) != contrast]
        if others:
            raise UsageError(
                f"--bids-filter-file selects {others[0].name} as a {contrast} image; remove suffix "
                "from the filter."
            )
        return images


def _of_contrast(
    contrast: str, images: dict[tuple[str, str | None], list[Path]]
) -> dict[tuple[str, str | None], list[Path]]:
    """Return the images of a contrast by participant and session."""
    selected = {
        key: [path for path in paths if contrast_of(path) == contrast] for key, paths in images.items()
    }
    return {key: paths for key, paths in selected.items() if paths}
