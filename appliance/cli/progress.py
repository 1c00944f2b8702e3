"""A write as the technician sees it: one live panel on a terminal, plain lines everywhere else.

The state comes from the job's events alone; nothing here moves by a timer. On a terminal rich's
Live shows voltage, gate, block, rate and remaining time. With NO_COLOR, in a pipe or a file there
is one line for each change that matters, not a flood.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from appliance.api.messages import JobEvent
from appliance.cli.output import say_json

PLAIN_EVERY = 0.1
"""Plain lines tell progress each tenth of the payload."""
_GATE_STYLE = {"OPEN": "bold green", "HELD": "bold yellow", "CUT": "bold red"}


@dataclass
class WriteState:
    """What is known of the write under way, from its events."""

    title: str
    gate: str = "CLOSED"
    reason: str = ""
    next_step: str = ""
    volts: float | None = None
    voltage_reason: str = "not told yet"
    step: int = 0
    steps: int = 0
    step_name: str = ""
    block: int = 0
    blocks: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    rate: float = 0.0
    remaining_s: float | None = None
    outcome: str = ""

    def take(self, event: JobEvent) -> None:
        """Take in what one event tells; kinds that are not of a write change nothing."""
        body = event.body
        match event.kind:
            case "voltage":
                self.volts, self.voltage_reason = body["volts"], body["reason"]
            case "gate":
                self.gate, self.reason = body["state"], body["reason"]
                self.next_step = body["next_step"]
                self.volts = body["volts"]
                self.rate = self.rate if self.gate == "OPEN" else 0.0
            case "step_started":
                self.step, self.steps = body["index"] + 1, body["total"]
                self.step_name = body["step"].replace("_", " ")
            case "progress":
                self._progress(body)
            case "outcome":
                self.outcome = body["outcome"]

    def _progress(self, body: dict[str, Any]) -> None:
        self.block, self.blocks = body["block"], body["blocks"]
        self.done_bytes, self.total_bytes = body["done_bytes"], body["total_bytes"]
        self.rate, self.remaining_s = body["rate"], body["remaining_s"]

    @property
    def voltage_text(self) -> str:
        """The voltage, or why there is none; never the last value that was valid."""
        if self.volts is None:
            return f"no voltage ({self.voltage_reason})" if self.voltage_reason else "no voltage"
        return f"{self.volts:.2f} V"

    @property
    def block_text(self) -> str:
        """Bytes and blocks that the ECU confirmed."""
        if not self.total_bytes:
            return "-"
        return f"{self.done_bytes} of {self.total_bytes} bytes, block {self.block} of {self.blocks}"

    @property
    def rate_text(self) -> str:
        """Rate and remaining time, as far as they are known."""
        remaining = f", {self.remaining_s:.0f} s left" if self.remaining_s is not None else ""
        return f"{self.rate / 1000:.1f} kB/s{remaining}" if self.rate else "-"


class Display(Protocol):
    """Shows a write as its events come in. A context manager."""

    def __enter__(self) -> Display:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what was shown last."""

    def show(self, event: JobEvent) -> None:
        """Take in one event and show what it changed."""


class _Quiet:
    """Entering and leaving, for displays that need neither."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def show(self, event: JobEvent) -> None:
        """Show one event."""
        raise NotImplementedError


class JsonLines(_Quiet):
    """Every event as one JSON object on a line of its own."""

    def show(self, event: JobEvent) -> None:
        """Print the event."""
        say_json(event)


class PlainLines(_Quiet):
    """One line for each change: gate, step, each tenth of the payload, outcome."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._state = WriteState(title)
        self._told_part = 0

    def show(self, event: JobEvent) -> None:
        """Print a line if the event changed something that matters."""
        state = self._state
        state.take(event)
        match event.kind:
            case "gate":
                reason = f": {state.reason}" if state.reason else ""
                self._line(f"gate {state.gate} at {state.voltage_text}{reason}")
            case "step_started":
                self._line(f"step {state.step} of {state.steps}: {state.step_name}")
            case "progress" if state.total_bytes:
                part = int(state.done_bytes / state.total_bytes / PLAIN_EVERY)
                if part > self._told_part:
                    self._told_part = part
                    self._line(f"{state.voltage_text}, {state.block_text}, {state.rate_text}")
            case "outcome":
                self._line(f"outcome {state.outcome}")

    def _line(self, text: str) -> None:
        self._console.print(Text(f"  {text}"), soft_wrap=True)


class LivePanel:
    """One panel that is drawn anew with each event, at most ten times a second."""

    def __init__(self, console: Console, title: str) -> None:
        self._state = WriteState(title)
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=10, transient=False
        )

    def __enter__(self) -> LivePanel:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, event: JobEvent) -> None:
        """Take in one event; a change of the gate also stays as a line above the panel."""
        self._state.take(event)
        if event.kind == "gate":
            state = self._state
            line = Text.assemble(
                "  gate ",
                (state.gate, _GATE_STYLE.get(state.gate, "bold")),
                f" at {state.voltage_text}{': ' + state.reason if state.reason else ''}",
            )
            self._live.console.print(line)

    def _render(self) -> RenderableType:
        state = self._state
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column()
        grid.add_row("voltage", state.voltage_text)
        grid.add_row("gate", Text(state.gate, style=_GATE_STYLE.get(state.gate, "bold")))
        if state.steps:
            grid.add_row("step", f"{state.step} of {state.steps}: {state.step_name}")
        grid.add_row("written", state.block_text)
        grid.add_row("rate", state.rate_text)
        if state.outcome:
            style = "bold green" if state.outcome == "verified" else "bold red"
            grid.add_row("outcome", Text(state.outcome, style=style))
        bar = ProgressBar(total=max(state.total_bytes, 1), completed=state.done_bytes, width=60)
        return Panel(Group(grid, bar), title=Text(state.title), width=76)


def display_for(console: Console, title: str, *, as_json: bool) -> Display:
    """The display that suits where the output goes."""
    if as_json:
        return JsonLines()
    if console.is_terminal and not os.environ.get("NO_COLOR"):
        return LivePanel(console, title)
    return PlainLines(console, title)
