"""Analysis levels of each option; an option that has no effect at a level is a usage error."""

from collections.abc import Collection

from bids_stroke.errors import UsageError
from bids_stroke.settings import LEVELS

_PARTICIPANT, _GROUP = LEVELS
#: Options that have no effect without ``--outcome``.
OUTCOME_OPTIONS = (
    *("--covariates", "--phenotype", "--worse", "--flip-to", "--min-overlap", "--permutations"),
    "--tfce",
)
#: Options by the levels that use them.
OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("--bids-filter-file", "--bids-database-dir", "--skip-bids-validation"),
            *("--derivatives", "--lesion-derivatives", "--corrections", "--dry-run"),
            *("--model", "--mirror", "--brain-extraction", "--normalization", "--output-spaces"),
            *("--cutoffs", "--atlas", "--atlas-labels", "--device"),
            *("--omp-nthreads", "--mem-mb", "--plugin-file"),
            *("--clean-workdir", "--stop-on-first-crash", "--deterministic"),
            *("--report-viewer", "--verbose", "--write-graph"),
        ),
        (_PARTICIPANT,),
    ),
    **dict.fromkeys(("--group-by", "--ground-truth", "--qc-ratings"), (_GROUP,)),
    **dict.fromkeys(("--outcome", *OUTCOME_OPTIONS), (_GROUP,)),
    **dict.fromkeys(
        (
            *("--participant-label", "--session-label", "--assume-orientation", "--tract"),
            *("--nprocs", "--work-dir", "--strict", "--reports-only"),
            *("--config-file", "--md-only-boilerplate", "--notrack"),
        ),
        LEVELS,
    ),
}
#: Options, and other options that have no effect if they are given.
_EXCLUDED = {
    "--lesion-derivatives": ("--model", "--mirror", "--corrections"),
    "--reports-only": ("--dry-run", "--session-label"),
}


def check_levels(level: str, given: Collection[str]) -> None:
    """Raise an error if an option has no effect at a level.

    Parameters
    ----------
    level : str
    given : collection of str
        Names of the given options.

    Raises
    ------
    UsageError
        If there is such an option.
    """
    for option in sorted(given):
        levels = OPTIONS.get(option, LEVELS)
        if level not in levels:
            raise UsageError(f"{option} is an option of the {levels[0]} level; remove it.")


def check_combination(level: str, given: Collection[str]) -> None:
    """Raise an error if an option has no effect with, or without, another option.

    Parameters and errors are those of :func:`check_levels`.
    """
    for message in find_ineffective(level, given).values():
        raise UsageError(message)


def find_ineffective(level: str, given: Collection[str]) -> dict[str, str]:
    """Return the options that have no effect with, or without, another option.

    Parameters
    ----------
    level : str
    given : collection of str
        Names of the given options.

    Returns
    -------
    dict of str to str
        Error of each of these options, by name.
    """
    errors = {
        other: f"{other} has no effect with {option}; remove one of them."
        for option, others in _EXCLUDED.items()
        for other in others
        if level == _PARTICIPANT and {option, other} <= set(given)
    }
    return errors | {
        option: f"{option} has no effect without --outcome; add the column of the outcome."
        for option in OUTCOME_OPTIONS
        if option in given and "--outcome" not in given
    }
