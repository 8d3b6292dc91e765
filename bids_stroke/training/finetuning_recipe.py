"""Recipe of fine-tuning a model on corrected masks."""

from dataclasses import dataclass, replace

from bids_stroke.errors import UsageError
from bids_stroke.models import catalog, frame
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
        If a setting is missing, or the model cannot be fine-tuned.
    """
    card = catalog.load(content["initial"])
    if not isinstance(card, Card) or _unsuitable(card):
        raise UsageError(
            f"{card.name} cannot be fine-tuned; give a model with one 3D network in native space with "
            "isotropic voxels, which is not an nnU-Net."
        )
    data = _grid(card) | content["data"]
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
    isotropic = len(set(card.spacing)) == 1
    flat = card.plane is not None
    return bool(card.folds or card.is_nnunet or flat or card.space != frame.NATIVE or not isotropic)


def _grid(card: Card) -> Section:
    """Return the settings of the data that the model defines."""
    channels = [channel.contrast for channel in card.channels]
    required = [channel.contrast for channel in card.channels if channel.required]
    return {
        "contrasts": channels,
        "inputs": card.inputs or [group for group in (required, channels) if group],
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
