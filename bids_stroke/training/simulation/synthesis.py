"""Generator of simulated strokes: images from healthy heads and real lesion shapes.

One generator, three sources: label maps painted at random (SynthSeg: Billot et al., Med Image Anal
2023; with lesions: Chalcroft et al., MELBA 2025), real T1w brains remapped to each contrast, and
the shapes of real lesions, which a registration brings from the template to each subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from nibabel.affines import from_matvec

from bids_stroke.spatial.grid import bounding_box
from bids_stroke.training.recipe_settings import Section

from . import appearance, artifacts, atrophy, distractors, pose, strokes
from .fields import Draw, Seed, standardize
from .placement import LesionShapes, place
from .subject_preparation import NODES, TISSUES
from .subjects import Lesion, Subject

CONTRASTS = tuple(appearance.INTENSITIES)
MARGIN_MM = 14  # mm of the head kept around the brain
FLUID_IN_MASK = 0.4  # share of the shrunken brains whose mask reaches to the skull
#: Volume (ml) and stage of each lesion of a sample.
PlannedLesions: TypeAlias = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Sample:
    """A simulated head on the tile's grid.

    ``images``: contrast to float32 tensor (x, y, z), white matter about 1; ``label`` and ``mask``:
    bool, the lesion and the brain mask as extraction draws it; ``visibility``: float tensor, 1 outside
    lesions (:class:`bids_stroke.training.simulation.strokes.PastedLesion`); ``brain``: the true mask
    within the field of view; ``stages``: stage of each lesion; ``head``: name of the subject; ``stripped``:
    whether the subject has no skull; ``affine``: voxels to mm, the tile's center at the origin;
    ``template``: voxels to template coordinates (mm), the best affine map.
    """

    images: dict[str, torch.Tensor]
    label: torch.Tensor
    mask: torch.Tensor
    visibility: torch.Tensor
    brain: torch.Tensor
    stages: tuple[str, ...]
    head: str
    stripped: bool
    affine: np.ndarray
    template: np.ndarray


@dataclass
class _Masks:
    """Masks of a sample while it is made: brain, brain as extraction draws it, lesions, and how visible
    the lesions are."""

    brain: torch.Tensor
    extracted: torch.Tensor
    label: torch.Tensor
    visibility: torch.Tensor


class Simulator:
    """Draws heads and lesions and simulates samples.

    Parameters
    ----------
    subjects : sequence of Subject
    lesions : sequence of Lesion
    tile : sequence of int
        Shape of the samples.
    spacing : float
        Side of a voxel (mm).
    ranges : dict
        The recipe's ``synthesis`` section.
    device : str
        Where samples are made.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        lesions: Sequence[Lesion],
        tile: Sequence[int],
        spacing: float,
        ranges: Section,
        device: str = "cpu",
    ) -> None:
        self.subjects = [_around_brain(subject) for subject in subjects]
        self.shares = _shares(self.subjects, ranges)
        self.shapes = LesionShapes(lesions)
        self.tile = tuple(tile)
        self.spacing = float(spacing)
        self.ranges = ranges
        self.device = device

    def sample(
        self,
        seed: Seed,
        contrasts: Sequence[str] = CONTRASTS,
        subject: int | None = None,
        lesions: PlannedLesions | None = None,
    ) -> Sample:
        """Simulate one head.

        Parameters
        ----------
        seed : int or sequence of int
            Decides everything.
        contrasts : sequence of str
            Images to make.
        subject : int, optional
            Index of the subject; drawn by default.
        lesions : list of (float, str), optional
            Volume (ml) and stage of each lesion; drawn by default.

        Returns
        -------
        Sample
        """
        draw, ranges = Draw(seed, self.device), self.ranges
        if subject is None:
            subject = draw.pick(range(len(self.subjects)), self.shares)
        chosen = self.subjects[subject]
        grid = pose.draw_pose(chosen, self.tile, self.spacing, ranges, draw)
        grid, tissue, mask, scans = self._anatomy(chosen, grid, draw)
        head = appearance.head(
            tissue, mask, scans, chosen.levels, contrasts, self.spacing, ranges, draw
        )
        self._distract(head, draw)
        if lesions is None:
            lesions = self._draw_lesions(draw)
        nodes = pose.template_nodes(chosen, grid)
        masks = _Masks(mask, mask, torch.zeros_like(mask), torch.ones(mask.shape, device=mask.device))
        if draw.chance(ranges["misjudged"]):
            masks.extracted = artifacts.simulate_extraction(mask, head.fluid > 0.5, self.spacing, draw)
        stages = self._paste(head, nodes, lesions, masks, draw)
        images = self._scan(head, masks, draw)
        center = -self.spacing * (np.array(self.tile) - 1) / 2
        return Sample(
            images=images,
            label=masks.label,
            mask=masks.extracted,
            visibility=masks.visibility,
            brain=masks.brain,
            stages=tuple(stages),
            head=chosen.name,
            stripped=chosen.t1w is not None,
            affine=from_matvec(np.eye(3) * self.spacing, center),
            template=pose.affine_to_template(nodes, mask),
        )

    def _anatomy(
        self, subject: Subject, grid: torch.Tensor, draw: Draw
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Sampling positions, tissue, brain mask and scans of a subject, with atrophy by chance.

        The space above a shrunken brain is fluid, which brain extraction keeps or leaves out.
        """
        tissue, mask = pose.sample_labels(subject, grid, self.tile)
        if not draw.chance(self.ranges["distractors"]["atrophy"]):
            return grid, tissue, mask, pose.sample_scans(subject, grid, self.tile)
        skull = mask
        grid = atrophy.shrink(subject, grid, self.tile, self.spacing, draw)
        tissue, mask = pose.sample_labels(subject, grid, self.tile)
        scans = pose.sample_scans(subject, grid, self.tile)
        if not draw.chance(FLUID_IN_MASK):
            return grid, tissue, mask, scans
        space = skull & ~mask
        tissue = torch.where(space, TISSUES.index("csf"), tissue)
        for contrast, volume in scans.items():
            scans[contrast] = torch.where(space, subject.fluid_levels[contrast], volume)
        return grid, tissue, mask | skull, scans

    def _distract(self, head: appearance.Head, draw: Draw) -> None:
        """Add findings that resemble a stroke."""
        chances = self.ranges["distractors"]
        if draw.chance(chances["hyperintensities"]):
            distractors.hyperintensities(head, draw)
        if draw.chance(chances["perivascular"]):
            distractors.perivascular(head, draw)

    def _draw_lesions(self, draw: Draw) -> PlannedLesions:
        """Number, volumes (log-uniform within a class) and stages."""
        ranges = self.ranges
        number = draw.pick(range(len(ranges["lesion_counts"])), ranges["lesion_counts"])
        drawn = []
        for _ in range(number):
            index = draw.pick(range(len(ranges["volume_shares"])), ranges["volume_shares"])
            low, high = np.log(ranges["volumes"][index : index + 2])
            stage = draw.pick(tuple(ranges["stages"]), tuple(ranges["stages"].values()))
            drawn.append((float(np.exp(draw.uniform(low, high))), stage))
        return drawn

    def _paste(
        self,
        head: appearance.Head,
        nodes: torch.Tensor,
        lesions: PlannedLesions,
        masks: _Masks,
        draw: Draw,
    ) -> list[str]:
        """Paste lesions; returns the stages of those that lie within the tile."""
        stages = []
        for volume, stage in lesions:
            shape, scale = self.shapes.choose(volume, draw)
            placed = place(shape, scale, nodes, self.tile, self.spacing, self.ranges, draw)
            if placed is None:
                continue
            pasted = strokes.paste(head, *placed, stage, draw)
            if pasted is None:
                continue
            if pasted.cavity is not None and draw.chance(self.ranges["lost_cavity"]):
                masks.extracted = artifacts.exclude_cavity(
                    masks.extracted, pasted.cavity, pasted.box, self.spacing, draw
                )
            masks.label[pasted.box] |= pasted.label
            seen = masks.visibility[pasted.box]
            masks.visibility[pasted.box] = torch.where(pasted.label, pasted.visibility, seen)
            stages.append(stage)
        return stages

    def _scan(self, head: appearance.Head, masks: _Masks, draw: Draw) -> dict[str, torch.Tensor]:
        """Images of the scanner; a field of view that ends within the brain cuts the masks too."""
        ranges, images = self.ranges, dict(head.images)
        if draw.chance(ranges["cut"]):
            masks.extracted, kept = artifacts.crop_field_of_view(masks.extracted, self.spacing, draw)
            masks.brain, masks.label = masks.brain & kept, masks.label & kept
            images = {contrast: image * kept for contrast, image in images.items()}
        first = next(iter(images))
        for contrast, image in images.items():
            if contrast != first:  # registration of a second contrast is never perfect
                reach = draw.uniform(0, ranges["misalignment"]) / self.spacing
                offset = draw.rng.uniform(-1, 1, 3)
                image = artifacts.shift(image, reach * offset / np.linalg.norm(offset))
            images[contrast] = artifacts.scan(image, contrast, self.spacing, ranges["scanner"], draw)
        return images


def network_input(sample: Sample, channels: Sequence[str]) -> torch.Tensor:
    """What a network sees of a sample: ``(channels, x, y, z)``; absent contrasts are zero."""
    absent = torch.zeros_like(sample.mask, dtype=torch.float32)
    return torch.stack(
        [standardize(sample.images[c], sample.mask) if c in sample.images else absent for c in channels]
    )


def _shares(subjects: Sequence[Subject], ranges: Section) -> list[float]:
    """How often each subject is drawn: label maps and pairs of contrasts by their shares of the recipe,
    single brains the rest."""
    kinds = [
        "label_maps" if subject.t1w is None else "brains" if subject.flair is None else "pairs"
        for subject in subjects
    ]
    whole = {"label_maps": ranges["label_maps"], "pairs": ranges.get("pairs", 0.0)}
    whole = {kind: share for kind, share in whole.items() if kind in kinds}
    whole["brains"] = 1 - sum(whole.values())
    return [whole[kind] / kinds.count(kind) for kind in kinds]


def _around_brain(subject: Subject) -> Subject:
    """Crop the head to the brain and ``MARGIN_MM`` mm, in steps of the template's nodes."""
    step = int(NODES)
    around = bounding_box(subject.mask, MARGIN_MM)
    box = tuple(slice(p.start // step * step, p.stop) for p in around)
    nodes = tuple(slice(p.start // step, -(-(p.stop - 1) // step) + 1) for p in box)
    return replace(
        subject,
        tissue=np.ascontiguousarray(subject.tissue[box]),
        mask=np.ascontiguousarray(subject.mask[box]),
        t1w=None if subject.t1w is None else np.ascontiguousarray(subject.t1w[box]),
        flair=None if subject.flair is None else np.ascontiguousarray(subject.flair[box]),
        affine=subject.affine @ from_matvec(np.eye(3), [p.start for p in box]),
        template=subject.template[(slice(None), *nodes)],
    )
