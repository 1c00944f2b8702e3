"""The supply voltage of one run, drawn: every dip, the limits, and what the gate did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib import colors
from reportlab.lib.units import mm

from appliance.records import events as e
from appliance.records import reading
from appliance.records.report.layout import (
    ACCENT,
    BAD,
    FAINT,
    GOOD,
    INK,
    LINE,
    REGULAR,
    WARN,
    WIDTH,
    load_fonts,
)
from hw.messages import EventBody, GateChanged, Voltage, VoltageTrace
from hw.plan import VoltageWindow, decode_plan

HEIGHT: float = 66 * mm
_LEFT, _RIGHT, _BOTTOM, _TOP = 12 * mm, 22 * mm, 9 * mm, 6 * mm
_COLUMNS = 900
"""The curve is drawn as the lowest and highest sample of so many moments: no dip is lost."""
_STATES = {"OPEN": GOOD, "HELD": WARN, "CUT": BAD, "ARMED": FAINT, "CLOSED": FAINT}
_SHADES = {"HELD": colors.HexColor("#FFF0D6"), "CUT": colors.HexColor("#FBE0E0")}

Sample = tuple[float, float | None]


@dataclass(frozen=True)
class Trace:
    """All that is drawn: samples in order of time, None where there was no valid one; the gate's
    changes as `(boottime, state, reason)`.
    """

    samples: tuple[Sample, ...]
    changes: tuple[tuple[float, str, str], ...]

    @property
    def lowest(self) -> float | None:
        """The lowest valid sample in volts."""
        return min((volts for _, volts in self.samples if volts is not None), default=None)

    @property
    def highest(self) -> float | None:
        """The highest valid sample in volts."""
        return max((volts for _, volts in self.samples if volts is not None), default=None)


def trace_of(events: Sequence[EventBody]) -> Trace:
    """Collect the voltage samples and gate changes of one run."""
    found: dict[float, float | None] = {}
    changes: list[tuple[float, str, str]] = []
    for event in events:
        if isinstance(event, Voltage):
            found[event.at] = event.volts
        elif isinstance(event, VoltageTrace):
            found.update(event.samples)
        elif isinstance(event, GateChanged):
            found.update(event.trace)
            changes.append((event.at, event.state, event.reason))
    return Trace(tuple(sorted(found.items())), tuple(sorted(changes)))


@dataclass(frozen=True)
class _Scale:
    """Where a moment and a voltage lie on the drawing."""

    start: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> float:
        part = (min(max(at, self.start), self.end) - self.start) / (self.end - self.start)
        return float(_LEFT + (WIDTH - _LEFT - _RIGHT) * part)

    def y(self, volts: float) -> float:
        part = (volts - self.low) / (self.high - self.low)
        return float(_BOTTOM + (HEIGHT - _BOTTOM - _TOP) * part)


def voltage_charts(
    chain: Sequence[e.Event], plans: Mapping[str, bytes]
) -> Iterator[tuple[str, Trace, Drawing]]:
    """Each run of a job that has something to draw: its name, what was measured, the drawing.

    Args:
        chain: the job's events.
        plans: documents of its plans by digest, for the limits; those that are missing cost only
            these lines.
    """
    load_fonts()
    runs: dict[str, list[EventBody]] = {}
    for body in reading.bodies(chain, e.HwEvent):
        runs.setdefault(body.run, []).append(body.event)
    digests = {body.run: body.plan_digest for body in reading.bodies(chain, e.WriteStarted)}
    for run, events in runs.items():
        trace = trace_of(events)
        chart = voltage_chart(trace, _window(digests.get(run, ""), plans))
        if chart is not None:
            yield run, trace, chart


def _window(digest: str, plans: Mapping[str, bytes]) -> VoltageWindow | None:
    found = plans.get(digest) if digest else None
    if found is None and len(plans) == 1:
        found = next(iter(plans.values()))
    return decode_plan(found).window if found is not None else None


def voltage_chart(trace: Trace, window: VoltageWindow | None) -> Drawing | None:
    """Draw a trace; None where there is nothing to draw.

    Args:
        trace: what was measured.
        window: the plan's limits, drawn as lines; None where the plan is not at hand.
    """
    lowest, highest = trace.lowest, trace.highest
    if lowest is None or highest is None or len(trace.samples) < 2:
        return None
    scale = _scale(trace, window, lowest, highest)
    drawing = Drawing(WIDTH, HEIGHT)
    for shape in (
        *_shades(trace, scale),
        *_axes(scale),
        *(_limits(window, scale) if window else ()),
        *_changes(trace, scale),
        *_curves(trace, scale),
    ):
        drawing.add(shape)
    return drawing


def _scale(trace: Trace, window: VoltageWindow | None, lowest: float, highest: float) -> _Scale:
    start = trace.samples[0][0]
    end = max(trace.samples[-1][0], start + 0.1)
    limits = (window.cut_v, window.over_v) if window else ()
    low, high = min((lowest, *limits)) - 0.4, max((highest, *limits)) + 0.4
    return _Scale(start, end, low, high)


def _shades(trace: Trace, scale: _Scale) -> Iterator[Rect]:
    """The times in which the gate held or cut."""
    ends = [*(at for at, _, _ in trace.changes[1:]), scale.end]
    for (at, state, _), end in zip(trace.changes, ends, strict=False):
        if state in _SHADES and end > scale.start:
            left, right = scale.x(at), scale.x(end)
            height = HEIGHT - _BOTTOM - _TOP
            yield Rect(
                left, _BOTTOM, right - left, height, fillColor=_SHADES[state], strokeColor=None
            )


def _axes(scale: _Scale) -> Iterator[Line | String]:
    for volts in _ticks(scale.low, scale.high):
        y = scale.y(volts)
        yield Line(_LEFT, y, WIDTH - _RIGHT, y, strokeColor=LINE, strokeWidth=0.3)
        yield _label(_LEFT - 3, y - 2, f"{volts:g} V", FAINT, "end")
    for seconds in _ticks(0.0, scale.end - scale.start):
        x = scale.x(scale.start + seconds)
        yield Line(x, _BOTTOM, x, _BOTTOM - 2, strokeColor=FAINT, strokeWidth=0.4)
        yield _label(x, _BOTTOM - 9, f"{seconds:g} s", FAINT, "middle")
    yield Line(_LEFT, _BOTTOM, WIDTH - _RIGHT, _BOTTOM, strokeColor=FAINT, strokeWidth=0.5)


def _limits(window: VoltageWindow, scale: _Scale) -> Iterator[Line | String]:
    named = (
        ("over", window.over_v, BAD),
        ("resume", window.resume_v, GOOD),
        ("hold", window.hold_v, WARN),
        ("cut", window.cut_v, BAD),
    )
    for name, volts, colour in named:
        y = scale.y(volts)
        yield Line(
            _LEFT, y, WIDTH - _RIGHT, y, strokeColor=colour, strokeWidth=0.6,
            strokeDashArray=[3, 2],
        )  # fmt: skip
        yield _label(WIDTH - _RIGHT + 3, y - 2, f"{name} {volts:g} V", colour)


def _changes(trace: Trace, scale: _Scale) -> Iterator[Line | String]:
    """Each change of the gate; a label that would cover the one before it goes one line down."""
    free = -1.0
    for at, state, _ in trace.changes:
        if not scale.start <= at <= scale.end:
            continue
        x, colour = scale.x(at), _STATES.get(state, FAINT)
        top = HEIGHT - _TOP
        yield Line(x, _BOTTOM, x, top, strokeColor=colour, strokeWidth=0.5)
        row = 1 if x >= free else -5.5
        yield _label(x + 1.5, top + row, state, colour)
        free = x + 24 if row > 0 else free


def _curves(trace: Trace, scale: _Scale) -> Iterator[PolyLine | Line]:
    """The samples, broken where there was no valid one."""
    for run in _unbroken(trace.samples):
        points = [
            value for at, volts in _thinned(run, scale) for value in (scale.x(at), scale.y(volts))
        ]
        if len(points) >= 4:
            yield PolyLine(points, strokeColor=INK, strokeWidth=0.8, strokeLineJoin=1)
    for at, volts in trace.samples:
        if volts is None:
            x = scale.x(at)
            yield Line(x, _BOTTOM, x, _BOTTOM + 3, strokeColor=BAD, strokeWidth=0.8)


def _unbroken(samples: Sequence[Sample]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for at, volts in samples:
        if volts is not None:
            run.append((at, volts))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _thinned(run: Sequence[tuple[float, float]], scale: _Scale) -> list[tuple[float, float]]:
    columns: dict[int, list[tuple[float, float]]] = {}
    for at, volts in run:
        column = int((at - scale.start) / (scale.end - scale.start) * _COLUMNS)
        columns.setdefault(column, []).append((at, volts))
    kept: set[tuple[float, float]] = {run[0], run[-1]}
    for points in columns.values():
        kept |= {min(points, key=lambda point: point[1]), max(points, key=lambda point: point[1])}
    return sorted(kept)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Four to eight round numbers between two values."""
    step = next(
        unit * 10.0**power
        for power in range(-3, 7)
        for unit in (1, 2, 5)
        if (high - low) / (unit * 10.0**power) <= 8
    )
    index = -(-low // step)
    while index * step <= high + step / 1000:
        yield round(index * step, 6)
        index += 1


def _label(
    x: float, y: float, text: str, colour: colors.Color = ACCENT, anchor: str = "start"
) -> String:
    return String(x, y, text, fontName=REGULAR, fontSize=6.2, fillColor=colour, textAnchor=anchor)
