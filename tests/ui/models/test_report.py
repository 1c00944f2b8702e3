"""The report on the screen: drawn as wide as its place, page by page, never by half."""

from __future__ import annotations

import io
import threading

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import job_view, refusal, report
from ui.models import report as report_module
from ui.models.records import RecordsModel
from ui.models.report import ReportDamaged, draw

WIDTH = 301
"""Pixels; of rows that do not end where a word of memory ends."""


@pytest.fixture
def records(bench: Bench) -> RecordsModel:
    bench.appliance.set(jobs=[job_view("j1", state="verified")])
    bench.kit.navigation.go("records")
    records = bench.kit.records
    records.look("j1")
    bench.until(lambda: records.state.job)
    return records


def test_a_page_is_as_wide_as_its_place_and_its_rows_have_no_gaps() -> None:
    pages, picture = draw(report(pages=2), 1, WIDTH)
    assert pages == 2
    assert (picture.width, len(picture.pixels)) == (WIDTH, 3 * WIDTH * picture.height)
    assert WIDTH * 1.3 < picture.height < WIDTH * 1.6, "A4, with less margin"
    assert picture.pixels[:3] == b"\xff\xff\xff"
    assert min(picture.pixels) < 100, "there is ink on it"


@pytest.mark.parametrize("at", [(0, 0), (470, 820), (0, 820), (250, 400)])
def test_margins_are_left_out_and_ink_never_is(at: tuple[int, int]) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.rect(*at, 125, 21, stroke=0, fill=1)
    canvas.save()
    _pages, picture = draw(out.getvalue(), 1, 500)
    black = picture.pixels.count(b"\0\0\0")
    share = 500 / A4[0]
    assert black > 125 * 21 * share**2 * 0.97


def test_an_empty_page_is_a_page() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.showPage()
    canvas.save()
    assert set(draw(out.getvalue(), 1, 100)[1].pixels) == {255}


def test_a_page_is_never_larger_than_the_graphics_chip_holds() -> None:
    _pages, picture = draw(report(pages=1), 1, 100_000)
    assert picture.height <= report_module.LIMIT_PX + 1


@pytest.mark.parametrize("pdf", [b"", b"no PDF", report(pages=1)[:400]])
def test_what_is_no_report_is_a_sentence(pdf: bytes) -> None:
    with pytest.raises(ReportDamaged) as told:
        draw(pdf, 1, WIDTH)
    assert told.value.what.endswith(".")
    assert told.value.next_step.endswith(".")


def test_pages_are_turned_within_the_report(bench: Bench, records: RecordsModel) -> None:
    records.report.open("j1", WIDTH)
    bench.until(lambda: records.state.report.picture)
    first = records.state.report
    assert (first.page, first.pages) == (1, 3)
    records.report.turn(-1)
    assert records.state.report is first, "there is nothing before the first page"
    records.report.turn(1)
    records.report.turn(1)
    bench.until(lambda: records.state.report.page == 3)
    assert records.state.report.picture != first.picture
    records.report.turn(1)
    assert records.state.report.page == 3
    assert not records.state.busy
    assert bench.appliance.calls("job_report") == [("j1",)]


def test_a_page_is_made_larger_and_stays_so_until_the_report_is_closed(
    bench: Bench, records: RecordsModel
) -> None:
    records.report.open("j1", WIDTH)
    bench.until(lambda: records.state.report.picture)
    records.report.resize()
    bench.until(lambda: records.state.report.larger)
    picture = records.state.report.picture
    assert picture is not None
    assert picture.width == pytest.approx(2 * WIDTH, abs=1)
    records.report.turn(1)
    bench.until(lambda: records.state.report.page == 2)
    assert records.state.report.larger
    records.report.close()
    assert records.state.report.picture is None
    records.report.turn(1)
    records.report.resize()
    assert not records.state.busy


def test_it_is_drawn_on_another_thread_than_the_screens(
    bench: Bench, records: RecordsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noted(pdf: bytes, page: int, width_px: int) -> tuple[int, report_module.Picture]:
        threads.append(threading.current_thread())
        return draw(pdf, page, width_px)

    monkeypatch.setattr(report_module, "draw", noted)
    records.report.open("j1", WIDTH)
    bench.until(lambda: records.state.report.picture)
    records.report.turn(1)
    bench.until(lambda: records.state.report.page == 2)
    assert threading.current_thread() not in threads
    assert len(threads) == 2


def test_a_broken_report_and_a_refusal_are_told_and_show_nothing(
    bench: Bench, records: RecordsModel
) -> None:
    bench.appliance.replies["job_report"] = m.File(name="report.pdf", content=b"%PDF-1.4 no")
    records.report.open("j1", WIDTH)
    bench.until(lambda: records.state.what == "The report cannot be shown.")
    assert records.state.next_step
    bench.appliance.refuses["job_report"] = refusal("record_damaged", "The chain is broken.")
    records.report.open("j1", WIDTH)
    bench.until(lambda: records.state.what == "The chain is broken.")
    assert records.state.report.page == 0


def test_a_report_that_comes_after_it_was_closed_is_not_shown(
    bench: Bench, records: RecordsModel
) -> None:
    bench.appliance.set(stands_still=True)
    records.report.open("j1", WIDTH)
    records.report.close()
    bench.appliance.set(stands_still=False)
    bench.until(lambda: not records.state.busy)
    assert records.state.report.page == 0


def test_another_result_shows_no_report_of_the_one_before(bench: Bench) -> None:
    bench.appliance.set(jobs=[job_view("j1", state="verified")])
    bench.kit.home.take("j1")
    bench.on("result")
    result = bench.kit.result
    bench.until(lambda: result.state.outcome)
    result.report.open("j1", WIDTH)
    bench.until(lambda: result.state.report.picture)
    result.open()
    assert result.state.report.page == 0
