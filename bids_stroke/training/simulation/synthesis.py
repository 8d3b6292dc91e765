"""Simulator of strokes: images from healthy heads and real lesion shapes.

The sources are label maps painted with random intensities (SynthSeg: Billot et al., Med Image Anal
2023; with lesions: Chalcroft et al., MELBA 2025), real T1w brains remapped to each contrast, and real
lesion shapes, which are mapped from the template to each subject by registration.
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
MARGIN_MM = 14  # margin of the head around the brain (mm)
FLUID_IN_MASK = 0.4  # share of atrophic brains whose mask extends to the skull
#: Volume (ml) and stage of each lesion of a sample.
PlannedLesions: TypeAlias = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Sample:
    """Simulated head on the tile's grid.

    Attributes
    ----------
    images : dict of str to tensor, (x, y, z)
        float32 images by contrast, with white matter at about 1.
    label : bool tensor, (x, y, z)
        Lesion.
    mask : bool tensor, (x, y, z)
        Brain mask with errors of brain extraction.
    visibility : float tensor, (x, y, z)
        Visibility of lesion voxels (:class:`bids_stroke.training.simulation.strokes.PastedLesion`), 1
        outside lesions.
    brain : bool tensor, (x, y, z)
        True brain mask within the field of view.
    stages : tuple of str
        Stage of each lesion.
    head : str
        Name of the subject.
    stripped : bool
        Whether the subject is skull-stripped.
    affine : array, (4, 4)
        Affine from voxels to mm, with the origin at the center of the tile.
    template : array, (4, 4)
        Least-squares affine from voxels to template coordinates (mm).
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
    """Masks of a sample under construction: true brain, extracted brain, lesions, and visibility."""

    brain: torch.Tensor
    extracted: torch.Tensor
    label: torch.Tensor
    visibility: torch.Tensor


class Simulator:
    """Simulator of samples from random heads and lesions.

    Parameters
    ----------
    subjects : sequence of Subject
    lesions : sequence of Lesion
    tile : sequence of int
        Shape of the samples.
    spacing : float
        Voxel size (mm).
    ranges : dict
        The recipe's ``synthesis`` section.
    device : str
        Device on which samples are simulated.
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
        self.subjects = [_crop_to_brain(subject) for subject in subjects]
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
            Seed of all random draws.
        contrasts : sequence of str
            Contrasts to simulate.
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
        source = self.subjects[subject]
        grid = pose.draw_pose(source, self.tile, self.spacing, ranges, draw)
        grid, tissue, mask, scans = self._anatomy(source, grid, draw)
        head = appearance.head(
            tissue, mask, scans, source.levels, contrasts, self.spacing, ranges, draw
        )
        self._add_distractors(head, draw)
        if lesions is None:
            lesions = self._draw_lesions(draw)
        nodes = pose.template_nodes(source, grid)
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
            head=source.name,
            stripped=source.t1w is not None,
            affine=from_matvec(np.eye(3) * self.spacing, center),
            template=pose.affine_to_template(nodes, mask),
        )

    def _anatomy(
        self, subject: Subject, grid: torch.Tensor, draw: Draw
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Sample the tissue, brain mask and scans of a subject, with atrophy at random.

        The space between an atrophic brain and the skull is fluid, which brain extraction may include.
        Returns the sampling positions, tissue, brain mask and scans.
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

    def _add_distractors(self, head: appearance.Head, draw: Draw) -> None:
        """Add findings that resemble a stroke."""
        chances = self.ranges["distractors"]
        if draw.chance(chances["hyperintensities"]):
            distractors.hyperintensities(head, draw)
        if draw.chance(chances["perivascular"]):
            distractors.perivascular(head, draw)

    def _draw_lesions(self, draw: Draw) -> PlannedLesions:
        """Draw the number of lesions, their volumes (log-uniform within a class) and stages."""
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
        """Paste lesions and return the stages of those within the tile."""
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
            visibility = masks.visibility[pasted.box]
            masks.visibility[pasted.box] = torch.where(pasted.label, pasted.visibility, visibility)
            stages.append(stage)
        return stages

    def _scan(self, head: appearance.Head, masks: _Masks, draw: Draw) -> dict[str, torch.Tensor]:
        """Simulate the scans; a field of view that ends within the brain also crops the masks."""
        ranges, images = self.ranges, dict(head.images)
        if draw.chance(ranges["cut"]):
            masks.extracted, kept = artifacts.crop_field_of_view(masks.extracted, self.spacing, draw)
            masks.brain, masks.label = masks.brain & kept, masks.label & kept
            images = {contrast: image * kept for contrast, image in images.items()}
        first = next(iter(images))
        for contrast, image in images.items():
            if contrast != first:  # residual misalignment of registered contrasts
                distance = draw.uniform(0, ranges["misalignment"]) / self.spacing
                offset = draw.rng.uniform(-1, 1, 3)
                image = artifacts.shift(image, distance * offset / np.linalg.norm(offset))
            images[contrast] = artifacts.scan(image, contrast, self.spacing, ranges["scanner"], draw)
        return images


def network_input(sample: Sample, channels: Sequence[str]) -> torch.Tensor:
    """Return the network input (channels, x, y, z) of a sample; missing contrasts are zero."""
    zeros = torch.zeros_like(sample.mask, dtype=torch.float32)
    return torch.stack(
        [standardize(sample.images[c], sample.mask) if c in sample.images else zeros for c in channels]
    )


def _shares(subjects: Sequence[Subject], ranges: Section) -> list[float]:
    """Return the probability of each subject.

    Label maps and pairs of contrasts have the shares in the recipe; single brains share the rest.
    """
    kinds = [
        "label_maps" if subject.t1w is None else "brains" if subject.flair is None else "pairs"
        for subject in subjects
    ]
    shares = {"label_maps": ranges["label_maps"], "pairs": ranges.get("pairs", 0.0)}
    shares = {kind: share for kind, share in shares.items() if kind in kinds}
    shares["brains"] = 1 - sum(shares.values())
    return [shares[kind] / kinds.count(kind) for kind in kinds]


def _crop_to_brain(subject: Subject) -> Subject:
    """Crop the head to the brain with a margin of ``MARGIN_MM``, aligned with the template's nodes."""
    step = int(NODES)
    margin_box = bounding_box(subject.mask, MARGIN_MM)
    box = tuple(slice(p.start // step * step, p.stop) for p in margin_box)
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
