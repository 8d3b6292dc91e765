"""Claims of the papers, and whether they hold on the cohorts of the studies.

A claim holds if the interval of the paired difference over heads excludes 0, fails if it excludes 0 on
the other side, and otherwise no difference is shown. A claim of being the best holds if it holds
against each other model.
"""

from dataclasses import dataclass

from common import difference

from bids_stroke.atlases.super_regions import code_of

#: Fewest heads for a conclusion: with fewer, even differences of one sign have p > 0.05 (sign test).
MIN_HEADS = 6
HOLDS, FAILS, OPEN = "holds", "fails", "no difference shown"


@dataclass(frozen=True)
class Claim:
    """Claim that the mean score of models is higher than that of others.

    Attributes
    ----------
    words : str
        Claim in words.
    score : str
        Column of evaluation.tsv.
    models : list of str
        Models, whose scores are averaged.
    others : list of list of str
        Groups of other models, each averaged and compared separately. Without others, the score itself
        is compared with 0.
    lower : bool
        Whether lower scores are claimed.
    regions : tuple of str
        Super-regions of the compared scans; by default, all scans are compared.
    """

    words: str
    score: str
    models: list
    others: list
    lower: bool = False
    regions: tuple = ()


def best(words, score, model, models, lower=False):
    """Return the claim that a model is better than each of the others."""
    return Claim(words, score, [model], [[other] for other in models if other != model], lower)


def conclusion(summary, lower=False):
    """Return whether the interval of a difference confirms or refutes a claim."""
    low, high = sorted((-summary.low, -summary.high)) if lower else (summary.low, summary.high)
    if summary.units < MIN_HEADS:
        return OPEN
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def verdict(rows, claim):
    """Format a claim with its conclusion and the least favorable comparison."""
    if claim.regions:
        rows = rows[rows["super_region"].astype(str).map(code_of).isin(claim.regions)]
    available = set(rows.dropna(subset=claim.score)["model"])
    others = [group for group in claim.others if set(group) <= available]
    if not set(claim.models) <= available or (claim.others and not others):
        return f"{claim.words}: not measured"
    summaries = [difference(rows, claim.score, claim.models, group) for group in others or [[]]]
    conclusions = [conclusion(summary, claim.lower) for summary in summaries]
    result = next((c for c in (FAILS, OPEN) if c in conclusions), HOLDS)
    sign = -1 if claim.lower else 1
    worst = min(range(len(summaries)), key=lambda n: sign * summaries[n].mean)
    summary = summaries[worst]
    compared = f", against {others[worst][0]}" if len(others) > 1 else ""
    numbers = f"{summary.mean:+.3f}, {summary.low:.3f} to {summary.high:.3f}"
    return f"{claim.words}: {result} ({claim.score} {numbers}; {summary.units} heads{compared})"


def listed(rows, claims):
    """Return the verdicts on claims as a Markdown list."""
    return "\n".join(f"- {verdict(rows, claim)}" for claim in claims)
