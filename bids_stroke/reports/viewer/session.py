"""Interactive viewer of a session, from the derivatives in its record."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib

from bids_stroke.atlases.maps import Maps
from bids_stroke.atlases.tract_cards import TractCard
from bids_stroke.atlases.tracts import move_tract
from bids_stroke.bids.names import CONTRASTS
from bids_stroke.bids.record import Record
from bids_stroke.reports.figures.palette import FAINT, LESION
from bids_stroke.settings import DEFAULT_TRACT
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.masks import resample_mask
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.spatial.transforms import apply
from bids_stroke.utils.files import PathLike

from .layers import RAMP, TRACT, Layer, background, field
from .page import drawing_name, viewer_name, write_page


def viewer_path(out_dir: PathLike, session_name: str) -> Path:
    """Return the path of the viewer of a session."""
    return Path(out_dir) / viewer_name(session_name)


def write_viewer(out_dir: PathLike, record: Record, tracts: Sequence[str] = (DEFAULT_TRACT,)) -> Path:
    """Write the viewer of a session to the folder of the participant report.

    Parameters
    ----------
    out_dir : path
        Folder of the derivatives.
    record : Record
        Record of a session that was processed successfully.
    tracts : sequence of str
        Tracts of the run, as arguments of :func:`bids_stroke.atlases.tract_cards.load_card`. Only
        tracts in which the session was measured are shown.

    Returns
    -------
    Path
        ``out_dir/sub-XX[_ses-YY]_viewer.html``, a self-contained file.

    Raises
    ------
    ResourceError
        If a tract file is missing.
    """
    files = SessionFiles(Path(out_dir), record)
    grid, near, brain = field(*files.reference())
    gray = [background(title, img, near, brain) for title, img in files.contrasts(grid).items()]
    overlays = files.overlays(grid, Maps(tuple(tracts)).cards)
    out = viewer_path(out_dir, record.name)
    return write_page(out, record.name, gray, overlays, brain, drawing_name(record.name))


class SessionFiles:
    """Loads the derivatives of a session as images.

    ``in_template`` states whether the session has no native space, because its user-supplied mask is in
    a template space.
    """

    def __init__(self, out_dir: Path, record: Record) -> None:
        self._out_dir, self._record = out_dir, record
        self.in_template = record.reference not in CONTRASTS
        self._space = TEMPLATE if self.in_template else None

    def _path(self, kind: str, space: str | None = None) -> Path:
        return self._record.require(self._out_dir, kind, space)

    def reference(self) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
        """Load the reference image and its brain mask."""
        if self.in_template:
            return template().t1w, template().brain
        return image.load(self._path("image")), image.load(self._path("brain_mask"))

    def contrasts(self, grid: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
        """Load the images of the session on ``grid``, the cropped reference image."""
        images = {self._record.reference or TEMPLATE: grid}
        if self.in_template:
            return {TEMPLATE: grid}
        paths = self._record.paths(self._out_dir, "image")
        for contrast in CONTRASTS:
            if contrast in paths:
                to_reference = [self._path("transform_to_reference", contrast)]
                images[contrast] = apply(image.load(paths[contrast]), grid, to_reference)
        return images

    def overlays(self, grid: nib.Nifti1Image, cards: Sequence[TractCard]) -> list[Layer]:
        """Create the layers of the lesion, its probability (if available) and the tracts."""
        lesion = resample_mask(image.load(self._path("lesion_mask", self._space)), grid)
        layers = [Layer("Lesion", lesion, 1, 1, (LESION, LESION), 0.5)]
        probability = self._record.path(self._out_dir, "lesion_probability", self._space)
        if probability:
            resampled = resample(image.load(probability), grid)
            layers.append(Layer("Probability", resampled, FAINT, 1, RAMP, 0.7, False, ""))
        from_template = [] if self.in_template else [self._path("transform_from_template", TEMPLATE)]
        measured = self._record.paths(self._out_dir, "loads")
        for card in cards:
            if card.atlas in measured:
                tract_img = move_tract(card, grid, from_template)
                layers.append(Layer(card.name, tract_img, FAINT, 1, TRACT, 0.7, True, ""))
        return layers
