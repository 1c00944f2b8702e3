"""The PDF report, read by another program: what a customer and a court look for is in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.identity import moment
from appliance.records import Customer, Records, report_pdf, vehicle
from appliance.records import events as e
from appliance.records.report.chart import trace_of, voltage_chart
from appliance.records.report.layout import is_exact, printable
from appliance.records.report.signature import signature_drawing
from hw.messages import GateChanged, GateResult, Outcome, Voltage
from hw.plan import decode_plan
from hw.statements import AgreementStatement, Point
from tests.appliance.records.sample import (
    CONTAINER_SHA256,
    VIN,
    backup,
    compiled,
    gates,
    new_job,
    plan_document,
    run_events,
    whole_job,
)


def chain_of(records: Records, job: str) -> tuple[e.Event, ...]:
    return records.verify_job(job).events


def text_of(folder: Path, pdf: bytes) -> str:
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_the_report_says_who_what_how_and_with_what_result(
    records: Records, tmp_path: Path
) -> None:
    job = whole_job(records)
    chain = chain_of(records, job)
    text = text_of(tmp_path, report_pdf(chain, {"p": plan_document(job)}))
    made = backup(job)
    for word in (
        VIN, "Zoë Müller", "B-FK 2026", "184300 km", "Stalls when hot", "anna",
        "VERIFIED", "The ECU holds the new calibration", "Next: Clear the fault memory",
        "FKIT-14C204-AA", "1.0.7", "1.0.8", "0xF189",
        "VOLTAGE_CHECK", "DUAL_BACKUP", "CHECKSUM_MATCH", "USER_ACKNOWLEDGMENT", "passed",
        CONTAINER_SHA256, "Erase 48 KiB at 0x00008000.", records.job(job).plans[0],
        made.backup, made.manifest_sha256, *(one.sha256 for one in made.objects),
        "2344 was answered 7f2333", "SIMULATED MEDIA", "not the record of a real car",
        "hold 12 V", "cut 11 V", "HELD", "Lowest 11.60 V",
        chain[-1].hash, "SHA256:",
    ):  # fmt: skip
        assert word in text, word


def test_a_vin_that_the_ecu_gives_otherwise_stands_beside_the_one_that_was_entered(
    records: Records, tmp_path: Path
) -> None:
    job = new_job(records)
    vin = e.DidValue(did=0xF190, label="VIN", text="WFKZZZ8K1TA000017")
    read = e.Identified(ecu="engine", profile="sim-engine", link="can://x", values=[vin])
    records.append(job, read)
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert f"{VIN}; " in text
    assert "an ECU of this job says WFKZZZ8K1TA000017" in " ".join(text.split())
    assert "not identified again" in text


def test_every_page_names_the_job_and_its_number(records: Records, tmp_path: Path) -> None:
    job = whole_job(records)
    pages = text_of(tmp_path, report_pdf(chain_of(records, job))).split("\f")[:-1]
    assert len(pages) >= 2
    for number, page in enumerate(pages, start=1):
        assert f"fieldkit job {job}" in page
        assert f"page {number} of {len(pages)}" in page
        assert "SIMULATED" in page


def test_the_same_chain_gives_the_same_file(records: Records) -> None:
    chain = chain_of(records, whole_job(records))
    assert report_pdf(chain) == report_pdf(chain)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("aborted_recoverable", "ABORTED, RECOVERABLE"), ("refused", "REFUSED: nothing was written")],
)
def test_a_write_that_did_not_end_well_says_so_first(
    records: Records, tmp_path: Path, outcome: str, words: str
) -> None:
    text = text_of(tmp_path, report_pdf(chain_of(records, whole_job(records, outcome))))
    assert text.index(words) < text.index("Vehicle and customer")
    assert "VERIFIED" not in text


def test_a_job_without_a_write_says_so(records: Records, tmp_path: Path) -> None:
    job = new_job(records)
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert "NO WRITE" in text
    assert "SIMULATED" not in text
    digest = "d" * 64
    records.append_all(job, [compiled(digest), gates(digest, closed="DUAL_BACKUP")])
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert "REFUSED: nothing was written" in text
    assert "DUAL_BACKUP: As it must be." in text


def test_a_write_that_runs_is_never_shown_as_ended(records: Records, tmp_path: Path) -> None:
    job = new_job(records)
    records.append(job, e.WriteStarted(run="run-9", plan_digest="d" * 64))
    assert "WRITING" in text_of(tmp_path, report_pdf(chain_of(records, job)))


def test_what_people_typed_is_never_taken_for_markup(records: Records, tmp_path: Path) -> None:
    job = new_job(records, name="<b>Bobby</b> & Söhne", complaint="a < b\n<para> &amp; ]]>")
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert "<b>Bobby</b> & Söhne" in text
    assert "<para> &amp; ]]>" in text


def test_letters_beyond_the_font_are_replaced_and_the_report_says_so(
    records: Records, tmp_path: Path
) -> None:
    customer = Customer("Łucja Kamińska 漢")
    job = records.create_job(customer, vehicle("Škoda Octavia", VIN), "", "anna").job
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert re.search(r"Łucja Kaminska .", text)
    assert "Škoda" in text
    assert "job.json has the exact text" in text
    plain = text_of(tmp_path, report_pdf(chain_of(records, new_job(records))))
    assert "job.json has the exact text" not in plain


def test_the_fonts_set_western_europe_exactly() -> None:
    assert is_exact("äöüÄÖÜß éèêç ñ åÅøØæÆ ŠšŽž Łł € „“ 0x7E0 §")
    assert not is_exact("ńę")
    assert printable("ńę Ж") != ""
    assert len(printable("漢")) == 1


def test_a_very_long_job_still_makes_a_report(records: Records, tmp_path: Path) -> None:
    job = new_job(records, complaint="Long story. " * 400)
    notes: list[e.Body] = [e.Note(author="anna", text=f"Note {n} " * 40) for n in range(120)]
    notes.append(e.Note(author="anna", text="x" * 10_000))
    records.append_all(job, notes)
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert "Note 119" in text
    assert text.count("\f") > 5


# The chart ----------------------------------------------------------------------------------------


def test_no_dip_is_lost_however_many_samples_there_are() -> None:
    events = [Voltage(at=n / 1000, volts=12.8) for n in range(60_000)]
    events[31_337] = Voltage(at=31.337, volts=8.7)
    trace = trace_of(events)
    assert trace.lowest == 8.7
    chart = voltage_chart(trace, None)
    assert chart is not None
    curve = next(shape for shape in chart.contents if type(shape).__name__ == "PolyLine")
    assert len(curve.points) < 10_000
    heights = curve.points[1::2]
    assert min(heights) < max(heights) - 50


def test_a_gap_in_the_samples_is_a_gap_in_the_curve() -> None:
    events = run_events("verified", 11.6)
    window = decode_plan(plan_document("j")).window
    chart = voltage_chart(trace_of(events), window)
    assert chart is not None
    curves = [shape for shape in chart.contents if type(shape).__name__ == "PolyLine"]
    assert len(curves) == 2


def test_changes_of_the_gate_are_on_the_chart_with_their_times() -> None:
    trace = trace_of(run_events("verified", 11.6))
    assert [state for _, state, _ in trace.changes] == ["OPEN", "HELD", "OPEN"]
    assert trace.changes[1][0] - trace.changes[0][0] == pytest.approx(15.0)


def test_nothing_is_drawn_where_nothing_was_measured() -> None:
    assert voltage_chart(trace_of([]), None) is None
    assert (
        voltage_chart(trace_of([Voltage(at=1.0, volts=None), Voltage(at=2.0, volts=None)]), None)
        is None
    )
    change = GateChanged(at=1.0, state="CUT", reason="", next_step="", volts=None)
    assert voltage_chart(trace_of([change]), None) is None


@pytest.mark.parametrize("text", ["word " * 3000, "x" * 9000])
def test_text_without_end_never_keeps_a_report_from_being_made(records: Records, text: str) -> None:
    job = new_job(records, name=text, complaint=text)
    value = e.DidValue(did=1, label=text, text=text)
    result = GateResult(gate="DUAL_BACKUP", passed=False, reason=text, next_step=text)
    end = Outcome(at=1.0, outcome="verified", code="", what=text, next_step=text, step=1)
    digest = "d" * 64
    records.append_all(
        job,
        [
            e.Identified(ecu="engine", profile=text, link=text, values=[value]),
            msgspec.structs.replace(backup(job), folders=[text, text]),
            msgspec.structs.replace(compiled(digest), title=text, description=[text] * 2),
            e.GatesChecked(plan_digest=digest, dry=False, permit=True, results=[result]),
        ],
    )
    records.append_events(job, "run-1", [(1, end)])
    assert report_pdf(chain_of(records, job)).startswith(b"%PDF")


def agreement(strokes: list[list[Point]], text: str = "Keys\n\nWords <b>as</b> signed.\n") -> Any:
    statement = AgreementStatement(
        format="fieldkit-agreement/1",
        text="immobiliser",
        version=3,
        language="en",
        text_sha256="5" * 64,
        customer="Thandi Nkosi",
        strokes=strokes,
        job="j",
        vin=VIN,
        technician="anna",
        role="technician",
        made=moment(),
    )
    return e.AgreementSigned(
        text=text, statement=msgspec.json.encode(statement).decode(), signature="s"
    )


def test_an_agreement_is_printed_with_its_words_and_the_signature_as_drawn(
    records: Records, tmp_path: Path
) -> None:
    job = new_job(records)
    without = report_pdf(chain_of(records, job))
    records.append(job, agreement([[(0, 0, 0), (500, 900, 9)], [(700, 1000, 20)]]))
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    for words in (
        "Agreement of the customer: Keys", "Words <b>as</b> signed.", "Thandi Nkosi",
        "anna (technician)", "immobiliser, version 3, en", "5" * 64, VIN,
        "immobiliser by Thandi Nkosi",
    ):  # fmt: skip
        assert words in text, words
    assert "Agreement of the customer" not in text_of(tmp_path, without)


def test_a_signature_is_drawn_from_its_points_with_y_downwards() -> None:
    drawing = signature_drawing([[(0, 100, 0), (1000, 300, 9)], [(500, 200, 20)]])
    line, dot = drawing.contents
    scale = drawing.width / 1000
    (x0, y0, x1, y1) = line.points
    assert (x0, x1) == (0, drawing.width)
    assert y0 - y1 == pytest.approx(200 * scale)
    assert 0 < y1 < y0 < drawing.height
    assert (dot.cx, dot.cy) == (pytest.approx(500 * scale), pytest.approx((y0 + y1) / 2))


def test_a_customers_agreement_of_many_pages_is_printed_whole(
    records: Records, tmp_path: Path
) -> None:
    job = new_job(records)
    words = "\n\n".join(f"Paragraph {n}. {'Words. ' * 60}" for n in range(60))
    records.append(job, agreement([[(0, 0, 0)]], f"Terms\n\n{words}\n"))
    text = text_of(tmp_path, report_pdf(chain_of(records, job)))
    assert all(f"Paragraph {n}." in text for n in range(60))
