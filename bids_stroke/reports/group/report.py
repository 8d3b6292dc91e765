"""Group report, ``group.html``."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bids_stroke import __version__
from bids_stroke.cohort.table import lesion_volumes
from bids_stroke.qc import outliers as qc_outliers
from bids_stroke.qc.ratings import CohortRatings
from bids_stroke.reports.evaluation import Page
from bids_stroke.reports.figures import svg
from bids_stroke.reports.rendering import render
from bids_stroke.reports.viewer import page as viewer_page
from bids_stroke.utils.files import PathLike

from .checks import count_checks, flagged_sessions
from .corrections import correction_queue, describe_agreement, with_short_dates
from .files import read_sessions, report_links, table_keys
from .outcome import OutcomeSection
from .outliers import outlier_measures, pictured_outliers
from .overlap import lesion_cells
from .pictures import Pictures
from .plots import plot_cohort
from .ratings import rating_data, rating_section
from .table import ExcludedSession, arrange_table, new_names, table_data
from .tiles import cohort_tiles


def group_report(
    out_dir: PathLike,
    table: pd.DataFrame,
    overlap_svg_path: PathLike | None = None,
    failed: Sequence[ExcludedSession] = (),
    summary: pd.DataFrame | None = None,
    evaluated: Page | None = None,
    rejected: Sequence[ExcludedSession] = (),
    groups: Sequence[str] = (),
    notices: Sequence[str] = (),
    outcomes: Sequence[OutcomeSection] = (),
    lesions: Sequence[str] = (),
    rated: CohortRatings | None = None,
    agreement: pd.DataFrame | None = None,
) -> Path:
    """Write ``out_dir/group.html``, a self-contained file, and return its path.

    Parameters
    ----------
    out_dir : path
        Folder of the derivatives.
    table : pandas.DataFrame
        Rows of ``group_lesion.tsv``. Only ``participant_id`` is required; columns of the package come
        first.
    overlap_svg_path : path, optional
        Figure of the lesion overlap.
    failed : sequence of ExcludedSession
        Sessions that failed.
    summary : pandas.DataFrame, optional
        Rows of ``group_loads.tsv``.
    evaluated : Page, optional
        Evaluation against manual masks, in a subfolder of ``out_dir``.
    rejected : sequence of ExcludedSession
        Sessions excluded by their rating.
    groups : sequence of str
        Grouping columns of the plots.
    notices : sequence of str
        Notices at the top of the page.
    outcomes : sequence of OutcomeSection
        Sections of the outcomes.
    lesions : sequence of str
        Lesion of each row of ``table``, from :func:`bids_stroke.cohort.overlap.overlap`.
    rated : CohortRatings, optional
        Visual ratings.
    agreement : pandas.DataFrame, optional
        Rows of ``group_agreement.tsv``.
    """
    out_dir = Path(out_dir)
    renamed = new_names(table)
    table, groups = table.rename(columns=renamed), [renamed.get(name, name) for name in groups]
    volumes = lesion_volumes(table)
    outliers = _outliers(table)
    arranged = arrange_table(table.assign(stands_out=outlier_measures(table, outliers)), failed)
    links = report_links(out_dir, arranged["participant_id"])
    sessions = read_sessions(out_dir, table_keys(arranged))
    pictures = Pictures()
    cells = lesion_cells(table, lesions, arranged)
    viewer = out_dir / viewer_page.viewer_name("group")
    queue = correction_queue(arranged, links)
    return render(
        "group.html",
        out_dir / "group.html",
        tiles=cohort_tiles(table, volumes, failed),
        overlap=svg.inline(Path(overlap_svg_path)) if overlap_svg_path else None,
        viewer=viewer.name if viewer.is_file() else None,
        data=table_data(arranged, groups, links, sessions, failed, out_dir)
        | {"lesions": cells, "ratings": rating_data(rated), "queue": queue.rows},
        queue=queue,
        agreement=None if agreement is None else with_short_dates(agreement),
        agreement_text=None if agreement is None else describe_agreement(agreement),
        ratings=rating_section(rated) if rated else None,
        is_overlap_fixed=bool(lesions) and cells is None,
        checks=count_checks(table),
        flagged=flagged_sessions(arranged, sessions, links, pictures),
        plots=plot_cohort(arranged, groups, links),
        outliers=pictured_outliers(outliers, sessions, links, pictures),
        limit=qc_outliers.LIMIT,
        failed=failed,
        notices=notices,
        rejected=rejected,
        summary=None if summary is None else summary.dropna(axis="columns", how="all"),
        outcomes=outcomes,
        evaluated=evaluated,
        evaluation_page=evaluated and evaluated.path.relative_to(out_dir).as_posix(),
        versions=_versions(out_dir),
        version=__version__,
    )


def _outliers(table: pd.DataFrame) -> pd.DataFrame:
    if "reference" not in table:
        return pd.DataFrame(columns=["measure"])
    return qc_outliers.outliers(table)


def _versions(out_dir: Path) -> dict[str, str]:
    """Read the software versions from ``dataset_description.json``."""
    try:
        description = json.loads((out_dir / "dataset_description.json").read_text("utf-8"))
        software = description.get("GeneratedBy", [])
        return {item["Name"]: item.get("Version", "n/a") for item in software}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
