"""Recipes of several trainings: one per network and regime, or per plane."""


def merged(base, changes):
    """Sections of ``base``, changed where ``changes`` says so; None takes a key out."""
    both = {key: value for key, value in base.items() if changes.get(key, value) is not None}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            both[key] = merged(base[key], value)
        elif value is not None:
            both[key] = value
    return both


def expand(recipe):
    """Recipe of every training of a recipe with ``runs``.

    Parameters
    ----------
    recipe : dict
        ``runs`` holds, by name, what a training changes in the recipe; ``regimes``, if there, the
        stages by the ending of the name, and every run is trained in each regime.

    Returns
    -------
    dict of str to dict
    """
    left_out = ("runs", "regimes", "ensembles")
    base = {key: value for key, value in recipe.items() if key not in left_out}
    regimes = recipe.get("regimes") or {"": None}
    return {
        name + ending: merged(base, changes)
        | {"name": name + ending}
        | ({"stages": stages} if stages else {})
        for ending, stages in regimes.items()
        for name, changes in recipe["runs"].items()
    }
