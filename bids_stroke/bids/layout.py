"""The images of a dataset by contrast and session, after the filters."""

from bids_stroke.errors import UsageError

from .names import TRACE


class Images:
    """The images of a dataset by contrast and session, as they are filtered."""

    def __init__(self, settings):
        from .index import Index  # PyBIDS is slow to load

        self._index = Index(settings.bids_dir, settings.bids_database_dir)
        self._filters = settings.bids_filters
        self.sessions = self._index.by_session()
        self._images = {}

    def of(self, contrast, subject, label):
        """Paths of the images of a contrast."""
        if contrast not in self._images:
            kind = {"datatype": "anat", "suffix": contrast}
            if contrast == TRACE:
                kind = {"datatype": "dwi", "suffix": "dwi", "reconstruction": TRACE}
            # A filter may name any entity; its keys are contrasts, as in fMRIPrep.
            query = kind | self._filters.get(contrast.lower(), {})
            try:
                found = self._index.by_session(**{"extension": [".nii", ".nii.gz"]} | query)
            except Exception as error:  # of PyBIDS, of its database, of a pattern
                reason = " ".join(str(error).partition(" If you")[0].partition("[SQL")[0].split())
                raise UsageError(
                    f"--bids-filter-file cannot filter {contrast} images: {reason}"
                ) from None
            self._images[contrast] = found
        found = self._images[contrast]
        if label:
            return list(found.get((subject, label), []))
        return [path for (owner, _), paths in found.items() if owner == subject for path in paths]
