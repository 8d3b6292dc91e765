"""A session of a participant: its images and why they were chosen."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .names import prefix
from .supplied_masks import SuppliedMask


@dataclass(frozen=True)
class Session:
    """One session of one participant: its images, and why they were chosen.

    ``images`` maps contrasts to raw files; ``reference`` is the contrast whose grid is the native
    space; ``notes`` are sentences for the log and the report. With an own ``lesion`` mask in a
    template space, that space is the reference, and there are only images in that space.
    """

    subject: str
    session: str | None
    images: dict
    reference: str
    notes: tuple[str, ...] = field(default=())
    brain_mask: Path | None = None
    lesion: SuppliedMask | None = None

    @property
    def name(self):
        """``sub-01`` or ``sub-01_ses-1``: the start of every file's name."""
        return prefix(self.subject, self.session)

    @property
    def drawn_on(self):
        """The contrast or template space on whose grid the lesion is drawn or found."""
        return self.lesion.space if self.lesion else self.reference

    def processed(self, card):
        """Contrasts that are processed: the reference, what the model uses (``card``; None for own
        masks), what the lesion is drawn on, and FLAIR. Of images in a template space, one is shown."""
        if self.lesion and self.lesion.in_template:
            return tuple(self.images)[:1]
        used = card.select(tuple(self.images)) if card else ()
        wanted = {*used, "FLAIR", self.drawn_on} - {self.reference}
        return (self.reference, *(contrast for contrast in self.images if contrast in wanted))

    def files(self, card):
        """The files that are read, as :meth:`processed`."""
        own = (self.brain_mask, self.lesion and self.lesion.path)
        return [*map(self.images.get, self.processed(card)), *filter(None, own)]

    @property
    def folder(self):
        """Folder of the derivatives, relative to the output folder."""
        return Path(*self.name.split("_")) / "anat"


class LeftOut(NamedTuple):
    """A session that is not processed: its name, the reason in a sentence, and whether it was
    ``refused`` (the model does not take its images) or has nothing to process."""

    name: str
    reason: str
    refused: bool
