"""What a run has to process, from the dataset, the options and earlier records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The model, the sessions of a run, which of them are to process and which complete; what was left
    out; and by each session's name what its outputs depend on."""

    card: object
    sessions: list
    todo: list
    done: list
    left_out: list
    identities: dict


def make_plan(settings):
    """Find what is to be done.

    Raises
    ------
    StrokeError
        If something that the run needs cannot be used.
    """
    from bids_stroke.atlases.maps import Maps
    from bids_stroke.bids import record
    from bids_stroke.bids.discovery import find
    from bids_stroke.models import catalog
    from bids_stroke.reports.viewer import niivue
    from bids_stroke.spatial import templates

    from . import plugins

    plugins.read_plugin(settings.plugin_file)
    card = None if settings.lesion_derivatives else catalog.load(settings.model)
    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    maps.check()
    # What is missing is told before any work.
    templates.find_spaces(settings.output_spaces)
    niivue.module()
    sessions, left_out = find(settings, card)
    shared = {
        "card": card and card.identity(),
        "maps": maps.identity(),
        "brain_extraction": settings.brain_extraction,
        "normalization": settings.normalization,
        "output_spaces": settings.output_spaces,
        "mirror": settings.mirror,
        "deterministic": settings.deterministic,
    }
    identities = {session.name: record.identity(session, **shared) for session in sessions}
    done, todo = [], []
    for session in sessions:
        known = record.read(settings.output_dir, session.name)
        current = known and known.identity == identities[session.name]
        ready = current and known.complete(settings.output_dir)
        (done if ready else todo).append(session)
    return Plan(card, sessions, todo, done, left_out, identities)
