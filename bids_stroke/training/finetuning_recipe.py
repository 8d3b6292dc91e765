"""Recipe of fine-tuning a model on corrected masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bids_stroke.errors import UsageError
from bids_stroke.models import catalog, frame, scores
from bids_stroke.models.card import Card

from .recipe_sections import fill
from .recipe_settings import (
    GridData,
    Input,
    PatientRecipe,
    Section,
    SimulationRecipe,
    SplitRules,
)

#: Contrast from which strokes are simulated, and contrasts that are simulated.
SOURCE, SIMULATED = "T1w", ("T1w", "FLAIR", "T2w")


@dataclass(frozen=True)
class FinetuningSettings:
    """Optimization of a fine-tuning.

    Attributes
    ----------
    simulated : float
        Share of simulated samples; the others are scans of the participants.
    heads : int
        Largest number of participants whose heads are used for the simulation.
    steps : int
        Steps until the learning rate reaches zero.
    learning_rate : float
    warmup_steps : int
    validation_every : int
        Steps between validations.
    patience : int
        Validations without a higher Dice after which training stops.
    """

    simulated: float
    heads: int
    steps: int
    learning_rate: float
    warmup_steps: int
    validation_every: int
    patience: int


@dataclass(frozen=True, kw_only=True)
class FinetuningRecipe(PatientRecipe):
    """Recipe of a fine-tuning.

    Attributes
    ----------
    model : Card
        Model to start from, which defines ``data`` except the brain extraction.
    simulation : SimulationRecipe
        Recipe of the simulated strokes, with channels, grid and network of the model.
    """

    data: GridData
    model: Card
    simulation: SimulationRecipe
    finetuning: FinetuningSettings

    @property
    def prepared(self) -> Sequence[str]:
        """Contrasts of the scans to prepare: those of the model, and that of the simulation."""
        return list(dict.fromkeys([*self.data.contrasts, SOURCE]))


def parse(content: Section, base: SimulationRecipe, source: str) -> FinetuningRecipe:
    """Parse the recipe of a fine-tuning.

    Parameters
    ----------
    content : dict
        ``initial`` is the name or path of the model to start from.
    base : SimulationRecipe
        Recipe of the simulated strokes.
    source : str
        Name of the recipe in messages.

    Raises
    ------
    UsageError
        If a setting is missing or defined by the model, or the model cannot be fine-tuned.
    """
    card = catalog.load(content["initial"])
    if not isinstance(card, Card) or _unsuitable(card):
        raise UsageError(
            f"{card.name} cannot be fine-tuned; give a model with one 3D network in native space with "
            f"isotropic voxels, of {', '.join(SIMULATED)} only, which is not an nnU-Net."
        )
    grid = _grid(card)
    if fixed := set(grid) & set(content["data"]):
        raise UsageError(
            f"{source} sets {', '.join(sorted(fixed))} in data, which the model defines; remove these "
            "settings."
        )
    data = grid | content["data"]
    settings = fill(FinetuningSettings, content["finetuning"], source)
    return fill(
        FinetuningRecipe,
        content,
        source,
        content=content,
        data=fill(GridData, data, source),
        split=fill(SplitRules, content["split"], source),
        model=card,
        simulation=_simulation(base, card, data, settings),
        finetuning=settings,
    )


def _unsuitable(card: Card) -> bool:
    """Return whether a network cannot be fine-tuned on its grid together with simulated strokes."""
    on_other_grid = card.space != frame.NATIVE or len(set(card.spacing)) > 1
    several_or_2d = bool(card.folds) or card.plane is not None
    not_simulated = {channel.contrast for channel in card.channels} - set(SIMULATED)
    return card.is_nnunet or several_or_2d or on_other_grid or bool(not_simulated)


def _grid(card: Card) -> Section:
    """Return the settings of the data that the model defines."""
    return {
        "contrasts": [channel.contrast for channel in card.channels],
        "inputs": [group.split("+") for group in scores.allowed_inputs(card)],
        "space": card.space,
        "spacing": card.spacing,
        "reference": card.reference,
    }


def _simulation(
    base: SimulationRecipe, card: Card, data: Section, settings: FinetuningSettings
) -> SimulationRecipe:
    """Return the recipe of the simulated strokes for the channels, grid and network of the model."""
    return replace(
        base,
        channels=data["contrasts"],
        inputs=[Input(group, 1) for group in data["inputs"]],
        spacing=card.spacing[0],
        tile=card.tile,
        network=card.network,
        mirror=base.mirror if card.mirror else None,
        training=replace(
            base.training,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            validation_every=settings.validation_every,
        ),
    )
