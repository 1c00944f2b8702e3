"""The progress display: what it says, and that it never floods or invents."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from appliance.api.messages import JobEvent
from appliance.cli.progress import JsonLines, LivePanel, PlainLines, WriteState, display_for


def event(kind: str, **body: object) -> JobEvent:
    return JobEvent(seq=1, kind=kind, wall="", run="r", body=body)


def gate(state: str, volts: float | None = 13.2, reason: str = "") -> JobEvent:
    return event("gate", state=state, reason=reason, next_step="", volts=volts)


def progress(done: int, rate: float = 50_000.0) -> JobEvent:
    return event(
        "progress",
        block=done // 100,
        blocks=100,
        done_bytes=done,
        total_bytes=10_000,
        rate=rate,
        remaining_s=(10_000 - done) / rate if rate else None,
    )


def plain(*events: JobEvent) -> list[str]:
    out = io.StringIO()
    with PlainLines(Console(file=out, width=200), "title") as display:
        for one in events:
            display.show(one)
    return out.getvalue().splitlines()


def test_plain_lines_tell_each_tenth_and_not_each_event() -> None:
    lines = plain(*(progress(done) for done in range(0, 10_001, 10)))
    assert len(lines) == 10
    assert lines[-1].strip() == (
        "no voltage (not told yet), 10000 of 10000 bytes, block 100 of 100, 50.0 kB/s, 0 s left"
    )


def test_voltage_alone_is_no_line() -> None:
    assert plain(*(event("voltage", volts=13.0, reason="") for _ in range(100))) == []


def test_a_hold_and_its_end_are_lines_with_voltage_and_reason() -> None:
    lines = plain(gate("HELD", 11.52, "below 12.0 V"), gate("OPEN", 13.1))
    assert [line.strip() for line in lines] == [
        "gate HELD at 11.52 V: below 12.0 V",
        "gate OPEN at 13.10 V",
    ]


def test_without_a_valid_sample_no_voltage_is_shown() -> None:
    state = WriteState("title")
    state.take(event("voltage", volts=13.0, reason=""))
    state.take(event("voltage", volts=None, reason="frozen"))
    assert state.voltage_text == "no voltage (frozen)"


def test_the_rate_is_not_shown_while_held() -> None:
    state = WriteState("title")
    state.take(progress(5000))
    assert state.rate_text == "50.0 kB/s, 0 s left"
    state.take(gate("HELD"))
    assert state.rate_text == "-"


def test_the_panel_shows_voltage_gate_block_rate_and_remaining_time() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with LivePanel(console, "Flash [engine]") as display:
        display.show(gate("OPEN"))
        display.show(event("step_started", index=3, total=9, step="download"))
        display.show(progress(2500, rate=500.0))
    shown = out.getvalue()
    for word in ("Flash [engine]", "13.20 V", "OPEN", "4 of 9: download", "block 25 of 100"):
        assert word in shown
    assert "0.5 kB/s, 15 s left" in shown


@pytest.mark.parametrize(
    ("terminal", "no_color", "kind"),
    [(True, "", LivePanel), (True, "1", PlainLines), (False, "", PlainLines)],
)
def test_a_pipe_or_no_color_gives_plain_lines(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, no_color: str, kind: type
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert isinstance(display_for(console, "t", as_json=False), kind)
    assert isinstance(display_for(console, "t", as_json=True), JsonLines)
