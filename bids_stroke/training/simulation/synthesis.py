"""The generator of simulated strokes: healthy heads and real lesion shapes in, images out.

One generator, three sources: label maps painted at random (SynthSeg: Billot et al., Med Image Anal
2023; with lesions: Chalcroft et al., MELBA 2025), real T1w brains remapped to each contrast, and
the shapes of real lesions, which a registration brings from the template to each subject.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from nibabel.affines import from_matvec
from scipy.spatial.transform import Rotation
from torch.nn import functional

from . import appearance, artefacts
from .fields import Draw, blur, resize, standardize
from .subjects import NODES, bounding_box

CONTRASTS = tuple(appearance.LOOKS)
STRIDE = 4  # voxels of the tile between the nodes of the map to the template
MARGIN = 8  # voxels around a lesion that its appearance may change
AROUND = 14  # mm of the head kept around the brain


@dataclass(frozen=True)
class Sample:
    """A simulated head on the tile's grid.

    ``images``: contrast to float32 tensor (x, y, z), white matter about 1; ``label`` and ``mask``:
    bool, the lesion and the brain mask as extraction found it; ``brain``: the true mask, within the
    field of view; ``stages``: what each lesion was; ``head``: its subject, of which ``stripped`` tells
    whether only the brain is known; ``affine``: voxels to mm, the tile's centre at the origin.
    """

    images: dict
    label: torch.Tensor
    mask: torch.Tensor
    brain: torch.Tensor
    stages: tuple
    head: str
    stripped: bool
    affine: np.ndarray


class Simulator:
    """Draws heads and lesions and simulates samples.

    Parameters
    ----------
    subjects : list of Subject
    lesions : list of Lesion
    tile : tuple of int
        Shape of the samples.
    spacing : float
        Side of a voxel (mm).
    ranges : dict
        The recipe's ``synthesis`` section.
    device : str
        Where samples are made.
    """

    def __init__(self, subjects, lesions, tile, spacing, ranges, device="cpu"):
        self.subjects = [_around_brain(subject) for subject in subjects]
        share, maps = ranges["label_maps"], [subject.t1w is None for subject in subjects]
        of_map, of_brain = share / max(sum(maps), 1), (1 - share) / max(maps.count(False), 1)
        self.shares = [of_map if is_map else of_brain for is_map in maps]
        self.lesions = sorted(lesions, key=lambda lesion: lesion.volume)
        self.volumes = np.array([lesion.volume for lesion in self.lesions])
        self.tile = tuple(tile)
        self.spacing = float(spacing)
        self.ranges = ranges
        self.device = device

    def sample(self, seed, contrasts=CONTRASTS, subject=None, lesions=None):
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
        grid = self._pose(chosen, draw)
        tissue, mask, t1w = self._sample_subject(chosen, grid)
        head = appearance.head(
            tissue, mask, t1w, chosen.levels, contrasts, self.spacing, ranges["arbitrary"], draw
        )
        self._distract(head, draw)
        if lesions is None:
            lesions = self._draw_lesions(draw)
        nodes = _template_nodes(chosen, grid)
        label = torch.zeros_like(mask)
        extracted = mask
        if draw.chance(ranges["misjudged"]):
            extracted = artefacts.misjudge(mask, head.fluid > 0.5, self.spacing, draw)
        stages = []
        for volume, stage in lesions:
            pasted, extracted = self._paste(head, nodes, volume, stage, extracted, draw)
            if pasted.any():
                label |= pasted
                stages.append(stage)
        images = dict(head.images)
        if draw.chance(ranges["cut"]):
            extracted, kept = artefacts.cut(extracted, self.spacing, draw)
            mask, label = mask & kept, label & kept
            images = {contrast: image * kept for contrast, image in images.items()}
        for contrast, image in images.items():
            if contrast != contrasts[0]:  # registration of a second contrast is never perfect
                reach = draw.uniform(0, ranges["misalignment"]) / self.spacing
                offset = draw.rng.uniform(-1, 1, 3)
                image = artefacts.shift(image, reach * offset / np.linalg.norm(offset))
            images[contrast] = artefacts.scan(image, self.spacing, ranges["scanner"], draw)
        centre = -self.spacing * (np.array(self.tile) - 1) / 2
        affine = from_matvec(np.eye(3) * self.spacing, centre)
        return Sample(
            images,
            label,
            extracted,
            mask,
            tuple(stages),
            chosen.name,
            chosen.t1w is not None,
            affine,
        )

    def _pose(self, subject, draw):
        """Where each voxel of the tile samples the subject: ``(1, X, Y, Z, 3)`` for grid_sample."""
        ranges, side = self.ranges, np.array(subject.mask.shape)
        size = draw.uniform(*ranges["scale"]) * draw.rng.uniform(0.95, 1.05, 3)
        angles = draw.rng.uniform(-1, 1, 3) * ranges["rotation"]
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        flip = np.diag([draw.pick((-1, 1)), 1, 1])
        matrix = turn @ np.diag(self.spacing / size) @ flip
        shape = [STRIDE * int(np.ceil((n - 1) / STRIDE)) + 1 for n in self.tile]
        middle = (np.array(self.tile) - 1) / 2
        move = draw.rng.uniform(-1, 1, 3) * ranges["shift"]
        offset = subject.centre() + move - matrix @ middle
        # grid_sample counts from -1 to 1 between the centres of the outer voxels, last axis first.
        half = (np.array(shape) - 1) / 2
        linear = np.diag(2 / (side - 1)) @ matrix @ np.diag(half)
        constant = 2 * (matrix @ half + offset) / (side - 1) - 1
        theta = np.column_stack([linear, constant])[::-1][:, [2, 1, 0, 3]]
        theta = torch.from_numpy(theta.copy()).float().to(self.device)
        grid = functional.affine_grid(theta[None], (1, 1, *shape), align_corners=True)
        return grid + self._warp(shape, side, draw)

    def _warp(self, shape, side, draw):
        """Smooth diffeomorphic displacement: a stationary velocity field, squared five times
        (Arsigny et al., MICCAI 2006)."""
        nodes = [max(4, round(n * self.spacing / 24)) for n in shape]  # every 24 mm
        amplitude = draw.uniform(0, self.ranges["warp"])
        scale = torch.tensor([float(2 * amplitude / (n - 1)) for n in side[::-1]], device=self.device)
        flow = scale[:, None, None, None] * draw.noise((3, *nodes)) / 32
        identity = functional.affine_grid(
            torch.eye(3, 4, device=self.device)[None], (1, 1, *nodes), align_corners=True
        )
        for _ in range(5):
            where = identity + flow.permute(1, 2, 3, 0)[None]
            flow = flow + functional.grid_sample(
                flow[None], where, padding_mode="border", align_corners=True
            )[0]  # fmt: skip
        return resize(flow, shape).permute(1, 2, 3, 0)[None]

    def _sample_subject(self, subject, grid):
        """Tissue, brain mask and T1w (or None) of a subject on the tile."""
        inner = (0, 0, *(slice(n) for n in self.tile))
        codes = subject.tissue + 16 * subject.mask.astype(np.uint8)
        codes = torch.from_numpy(codes)[None, None].to(self.device).float()
        codes = functional.grid_sample(codes, grid, mode="nearest", align_corners=True)[inner]
        codes = codes.round().to(torch.uint8)
        t1w = None
        if subject.t1w is not None:
            t1w = torch.from_numpy(subject.t1w)[None, None].to(self.device).float()
            t1w = functional.grid_sample(t1w, grid, align_corners=True)[inner]
        return codes % 16, codes >= 16, t1w

    def _distract(self, head, draw):
        """Add what resembles a stroke and is none."""
        chances = self.ranges["distractors"]
        if draw.chance(chances["atrophy"]):
            where = appearance.region(head.mask.shape, self.spacing, draw, self.device)
            appearance.widen(head, where, draw)
        if draw.chance(chances["hyperintensities"]):
            appearance.hyperintensities(head, draw)
        if draw.chance(chances["perivascular"]):
            appearance.perivascular(head, draw)

    def _draw_lesions(self, draw):
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

    def _shape(self, volume, draw):
        """A lesion of about ``volume`` ml, and the scale (length) that makes it exact."""
        near = np.flatnonzero(np.abs(np.log(self.volumes / volume)) < np.log(1.5))
        if not len(near):
            near = [np.abs(np.log(self.volumes / volume)).argmin()]
        lesion = self.lesions[draw.pick(near)]
        return lesion, float(np.clip((volume / lesion.volume) ** (1 / 3), 0.6, 1.6))

    def _paste(self, head, nodes, volume, stage, extracted, draw):
        lesion, scale = self._shape(volume, draw)
        placed = self._place(lesion, scale, nodes, draw)
        if placed is None:
            return torch.zeros_like(head.mask), extracted
        pasted, cavity, box = appearance.paste(head, *placed, stage, draw)
        if cavity is not None and draw.chance(self.ranges["lost_cavity"]):
            extracted = artefacts.lose_cavity(extracted, cavity, box, self.spacing, draw)
        return pasted, extracted

    def _place(self, lesion, scale, nodes, draw):
        """Weights of a lesion in a part of the tile, and where the part starts; None outside."""
        ranges, shape = self.ranges, np.array(lesion.data.shape)
        centre = (lesion.affine @ [*((shape - 1) / 2), 1])[:3]
        angles = draw.rng.uniform(-1, 1, 3) * ranges["lesion_rotation"]
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        turn = turn @ np.diag(1 / (scale * draw.rng.uniform(0.9, 1.1, 3)))
        move = draw.rng.uniform(-1, 1, 3) * ranges["lesion_shift"]
        mirror = np.diag([draw.pick((-1, 1)), 1, 1])
        # template -> mirrored -> turned about the lesion's centre -> the lesion's voxels
        vary = from_matvec(turn @ mirror, centre + move - turn @ centre)
        to_voxels = np.linalg.inv(lesion.affine) @ vary
        amplitude = draw.uniform(0, ranges["lesion_warp"])
        width = draw.uniform(12, 30) / (STRIDE * self.spacing)
        wave = torch.stack([draw.field(nodes.shape[1:], width) for _ in range(3)]) * amplitude
        linear, constant = (
            torch.from_numpy(part.copy()).float().to(nodes.device)
            for part in (to_voxels[:3, :3], to_voxels[:3, 3])
        )
        voxels = torch.einsum("ab,bijk->aijk", linear, nodes + wave) + constant[:, None, None, None]
        upper = torch.tensor(shape - 1, device=nodes.device)[:, None, None, None]
        near = ((voxels > -1) & (voxels < upper + 1)).all(0).cpu().numpy()
        if not near.any():
            return None
        reach = int(np.ceil(MARGIN / STRIDE))
        part = bounding_box(near, reach)
        fine = [STRIDE * (p.stop - p.start - 1) + 1 for p in part]
        where = resize(2 * voxels[(slice(None), *part)] / upper - 1, fine)
        data = torch.from_numpy(lesion.data).float().to(nodes.device)[None, None]
        where = where.flip(0).permute(1, 2, 3, 0)[None]
        weights = functional.grid_sample(data, where, align_corners=True)[0, 0]
        corner = [STRIDE * p.start for p in part]
        inner = tuple(slice(n - c) for n, c in zip(self.tile, corner, strict=True))
        return blur(weights[inner], 0.5), corner


def _around_brain(subject):
    """Crop the head to the brain and ``AROUND`` mm, in steps of the template's nodes."""
    step = int(NODES)
    box = bounding_box(subject.mask, AROUND)
    box = tuple(slice(p.start // step * step, p.stop) for p in box)
    nodes = tuple(slice(p.start // step, -(-(p.stop - 1) // step) + 1) for p in box)
    return replace(
        subject,
        tissue=np.ascontiguousarray(subject.tissue[box]),
        mask=np.ascontiguousarray(subject.mask[box]),
        t1w=None if subject.t1w is None else np.ascontiguousarray(subject.t1w[box]),
        affine=subject.affine @ from_matvec(np.eye(3), [p.start for p in box]),
        template=subject.template[(slice(None), *nodes)],
    )


def _template_nodes(subject, grid):
    """Template coordinates (3, i, j, k) of every ``STRIDE``-th voxel of the tile."""
    field = torch.from_numpy(subject.template).to(grid.device).float()
    side = torch.tensor(subject.mask.shape[::-1], device=grid.device) - 1
    nodes = torch.tensor(field.shape[:0:-1], device=grid.device) - 1
    coarse = grid[:, ::STRIDE, ::STRIDE, ::STRIDE]
    where = (coarse + 1) * side / (NODES * nodes) - 1
    found = functional.grid_sample(field[None], where, padding_mode="border", align_corners=True)
    return found[0]


def network_input(sample, channels):
    """What a network sees of a sample: ``(channels, x, y, z)``; absent contrasts are zero."""
    absent = torch.zeros_like(sample.mask, dtype=torch.float32)
    return torch.stack(
        [standardize(sample.images[c], sample.mask) if c in sample.images else absent for c in channels]
    )
