"""Visual ratings in the group report: agreement of the raters, and reasons."""

from dataclasses import dataclass

import numpy as np

from bids_stroke.qc.agreement import Agreement, agreement
from bids_stroke.qc.ratings import COLUMNS, REJECT, CohortRatings


@dataclass(frozen=True)
class RatingSection:
    """Section on the ratings of ``--qc-ratings``.

    Attributes
    ----------
    sentences : list of str
    reasons : dict of str to int
        Number of sessions by the words of the reason.
    """

    sentences: list[str]
    reasons: dict[str, int]


def rating_section(rated: CohortRatings) -> RatingSection:
    """Describe the ratings of a cohort."""
    merged = rated.merged
    raters = ", ".join(
        f"{name or 'unnamed'} ({count})" for name, count in rated.verdicts.count().items()
    )
    rejected = int((merged["rating"] == REJECT).sum())
    sentences = [f"Rated sessions: {len(merged)} ({rejected} rejected)."]
    if raters:
        sentences[0] += f" Raters: {raters}."
    if result := agreement(rated.verdicts):
        sentences.append(
            f"{_agreement(result)}; {result.identical:.0%} of the {result.sessions} sessions that all "
            "raters rated have identical ratings. A session is rejected if at least half of its raters "
            "reject it."
        )
    names = merged["reasons"].str.split("+").explode()
    counts = names[names != ""].value_counts()
    return RatingSection(sentences, {_words(name): int(count) for name, count in counts.items()})


def _agreement(result: Agreement) -> str:
    if np.isnan(result.kappa):
        return f"{result.name} is undefined, because all ratings are the same"
    return f"{result.name}: {result.kappa:.2f} (95% interval {result.low:.2f} to {result.high:.2f})"


def describe_rejection(reasons: str, notes: str) -> str:
    """Describe why a session was rejected.

    >>> describe_rejection("missed_lesion+alignment", "motion")
    'missed lesion, alignment; motion'
    """
    return "; ".join(filter(None, (", ".join(map(_words, reasons.split("+"))), notes)))


def _words(reason: object) -> str:
    return str(reason).replace("_", " ")


def rating_data(rated: CohortRatings | None) -> list[list[str]]:
    """Return all ratings for the script of the page, in the order of
    :data:`bids_stroke.qc.ratings.COLUMNS`."""
    return rated.table[list(COLUMNS)].values.tolist() if rated else []
