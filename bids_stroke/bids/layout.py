"""The images of a dataset by contrast and session, after the filters."""

from collections.abc import Mapping
from pathlib import Path

from bids_stroke.errors import UsageError

from .names import IMAGE_EXTENSIONS, TRACE

#: Values of entities that select images, by contrast in lower case (or ``lesion``, for masks).
Filters = Mapping[str, Mapping[str, object]]


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
        self.sessions = self._index.by_session()
        self._images: dict[str, dict[tuple[str, str | None], list[Path]]] = {}

    def of(self, contrast: str, subject: str, label: str | None) -> list[Path]:
        """Paths of the images of a contrast of a session.

        Raises
        ------
        UsageError
            If the filter of the contrast cannot be used.
        """
        if contrast not in self._images:
            self._images[contrast] = self._query(contrast)
        images = self._images[contrast]
        if label:
            return list(images.get((subject, label), []))
        return [path for (owner, _), paths in images.items() if owner == subject for path in paths]

    def _query(self, contrast: str) -> dict[tuple[str, str | None], list[Path]]:
        """Images of a contrast by participant and session."""
        query: dict[str, object] = {"extension": list(IMAGE_EXTENSIONS)}
        if contrast == TRACE:
            query |= {"datatype": "dwi", "suffix": "dwi", "reconstruction": TRACE}
        else:
            query |= {"datatype": "anat", "suffix": contrast}
        try:
            return self._index.by_session(**{**query, **self._filters.get(contrast.lower(), {})})
        except Exception as error:  # of PyBIDS, of its database, of a pattern
            reason = " ".join(str(error).partition(" If you")[0].partition("[SQL")[0].split())
            raise UsageError(f"--bids-filter-file cannot filter {contrast} images: {reason}") from None
