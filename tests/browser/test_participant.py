"""The participant report in a real browser."""

import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids.record import Record
from bids_stroke.reports.figures.flicker import draw_flicker
from bids_stroke.reports.figures.lesion import draw_lesion
from bids_stroke.reports.participant.report import participant_report


@pytest.fixture
def page(tmp_path, browser_page):
    """Report with an alternating figure, a figure with a contour, and a hostile error message."""
    head = np.zeros((60, 70, 50), np.float32)
    head[10:50, 10:60, 8:42] = 100
    inner = np.zeros_like(head)
    inner[20:30, 20:30, 20:30] = 1
    img = nib.Nifti1Image(head, np.diag([3.0, 3, 3, 1]))
    dark = nib.Nifti1Image(head * (1 - inner), img.affine)
    mask = nib.Nifti1Image(inner.astype(np.uint8), img.affine)
    folder = tmp_path / "sub-01" / "figures"
    folder.mkdir(parents=True)
    drawn = {
        "coreg_figure@FLAIR": draw_flicker(img, dark, folder / "sub-01_desc-coreg_FLAIR.svg", mask),
        "lesion_figure@T1w": draw_lesion(img, mask, folder / "sub-01_desc-lesion_T1w.svg"),
    }
    outputs = {role: path.relative_to(tmp_path).as_posix() for role, path in drawn.items()}
    Record("sub-01", "x", error="<script>alert(1)</script>", outputs=outputs).write(tmp_path)
    page = browser_page(participant_report(tmp_path, "01"))
    yield page
    assert not page.errors


def settled(page, selector):
    """Opacity of an element halfway through its animations."""
    return page.eval_on_selector(
        selector,
        """element => {
          for (const animation of element.getAnimations()) {
            animation.pause();
            animation.currentTime = 1900;
          }
          return Number(getComputedStyle(element).opacity);
        }""",
    )


def test_images_alternate_on_hover(page):
    assert settled(page, ".flicker .moving") == 1
    page.hover(".flicker")
    assert settled(page, ".flicker .moving") < 0.1


def test_images_alternate_on_focus(page):
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('flicker')"):
            break
    assert settled(page, ".flicker .moving") < 0.1


def test_the_contour_is_hidden_on_hover(page):
    contour = ".fading .contour"
    assert settled(page, contour) == 1
    page.hover(".fading")
    assert settled(page, contour) == 0


def test_all_figures_have_alternative_text(page):
    labels = page.eval_on_selector_all("figure svg", "all => all.map(svg => svg.ariaLabel)")
    assert len(labels) == 2 and all(labels)
    assert page.eval_on_selector_all("figure svg", "all => all.every(svg => svg.role === 'img')")


def test_error_messages_are_escaped(page):
    assert "<script>alert(1)</script>" in page.inner_text("#errors")
