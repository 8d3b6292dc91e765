"""Notices of the group level on data that users may misinterpret."""

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from bids_stroke.atlases import maps
from bids_stroke.bids import names
from bids_stroke.bids.record import Record, model_title, read_all
from bids_stroke.qc import ratings
from bids_stroke.settings import Settings
from bids_stroke.utils.text import enumeration

from .group_ratings import names_of_ratings


def notices_of_table(table: pd.DataFrame) -> Iterator[str]:
    """Yield notices on the models, the labels and the order of sessions in the group table."""
    yield from _notices_of_models(table)
    yield from _notices_of_labels(table)
    yield from _notices_of_order(table)


def _notices_of_models(table: pd.DataFrame) -> Iterator[str]:
    """Yield a notice if the lesions come from several models."""
    models = table["model"].map(model_title).value_counts()
    if len(models) > 1:
        listing = ", ".join(f"{model} ({number})" for model, number in models.items())
        yield f"The lesions come from several models: {listing}; do not compare their volumes."


def _notices_of_labels(table: pd.DataFrame) -> Iterator[str]:
    """Yield a notice if participants have outputs with and without ``ses-``, perhaps of one scan."""
    without = table["session_id"].isna()
    both = {*table["participant_id"][without]} & {*table["participant_id"][~without]}
    if both:
        yield (
            f"These participants have outputs both with and without ses-: {enumeration(sorted(both))}. "
            "If the dataset contains only one of the two, remove the outputs and record of the other."
        )


def _notices_of_order(table: pd.DataFrame) -> Iterator[str]:
    """Yield a notice if volume changes are between sessions whose names are not numbered."""
    compared = table.dropna(subset="previous_session_id")
    labels = {*compared["session_id"], *compared["previous_session_id"]}
    if len({re.sub(r"\d+", "", label) for label in labels}) > 1:
        listing = ", ".join(sorted(labels, key=names.natural_key))
        yield (
            f"Sessions are compared in the order of their names: {listing}. If this is not their "
            "chronological order, lesion_volume_change_ml has the wrong sign."
        )


def notices_of_maps(settings: Settings, finished: Sequence[Record]) -> Iterator[str]:
    """Yield a notice on measured tracts that are not in ``--tract``: they have no map."""
    measured = {tract for record in finished for tract in record.paths(settings.output_dir, "loads")}
    missing = measured.difference(card.atlas for card in maps.Maps(settings.tracts).cards)
    if missing:
        yield (
            f"No map of the mean load was written for {', '.join(sorted(missing))}; repeat the "
            "--tract of the participant level."
        )


def notices_of_ratings(settings: Settings, rated: pd.DataFrame) -> Iterator[str]:
    """Yield a notice if the ratings reject sessions that do not exist."""
    labels = [names.split_session_name(record.name) for record in read_all(settings.output_dir)]
    if unmatched := ratings.unmatched_rejections(rated, labels):
        listing = ", ".join(unmatched)
        yield f"{names_of_ratings(settings)} rejects {listing}, but there is no such session."
