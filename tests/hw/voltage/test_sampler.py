"""The sampler: votes, faults and history; on the simulated registers and on scripted readings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hw import clock
from hw.errors import BadInputError
from hw.sim.registers import Fault, RegisterFile
from hw.voltage.ina219 import CONFIGURATION, Reading, SensorFault
from hw.voltage.sampler import (
    DOUBT_LOOK_S,
    FROZEN_LOOKS,
    REOPEN_AFTER_FAULTS,
    Sample,
    Sampler,
    sampler_for,
)

LIMIT_S = 20.0


class Seen:
    """Samples as the gate gets them; a test waits for what it needs."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._changed = threading.Condition()

    def __call__(self, sample: Sample) -> None:
        with self._changed:
            self.samples.append(sample)
            self._changed.notify_all()

    def wait(self, wanted: Callable[[Sample], bool], after: int = 0) -> int:
        """Index of the first sample from `after` on that is wanted."""

        def found() -> int | None:
            rest = enumerate(self.samples[after:], after)
            return next((index for index, sample in rest if wanted(sample)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, LIMIT_S), (
                "no such sample",
                self.samples[-3:],
            )
            index = found()
        assert index is not None
        return index

    def wait_count(self, count: int) -> None:
        """Wait for so many samples."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.samples) >= count, LIMIT_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registers"


@pytest.fixture
def chip(path: Path) -> Iterator[RegisterFile]:
    registers = RegisterFile(path, create=True)
    registers.volts = 12.6
    yield registers
    registers.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def sampler(chip: RegisterFile, path: Path, seen: Seen) -> Iterator[Sampler]:
    sampler = sampler_for(f"ina219+sim://{path}", 1.0, 500, seen)
    sampler.start()
    yield sampler
    sampler.stop()


def valid(sample: Sample) -> bool:
    return sample.volts is not None


def invalid(sample: Sample) -> bool:
    return sample.volts is None


# On the registers ---------------------------------------------------------------------------------


def test_it_delivers_the_battery_voltage(sampler: Sampler, seen: Seen) -> None:
    first = seen.wait(valid)
    assert seen.samples[first].volts == pytest.approx(12.6, abs=0.004)
    assert sampler.scheduling in {"real-time", "normal"}
    assert sampler.alive()


def test_the_first_two_readings_are_no_voltage_yet(sampler: Sampler, seen: Seen) -> None:
    first = seen.wait(valid)
    assert all(sample.volts is None for sample in seen.samples[:first])
    assert first >= 2


def test_a_sag_is_seen_within_two_samples(chip: RegisterFile, sampler: Sampler, seen: Seen) -> None:
    seen.wait(valid)
    mark = len(seen.samples)
    chip.volts = 11.2
    low = seen.wait(lambda sample: sample.volts == pytest.approx(11.2, abs=0.004), mark)
    # One may have been under way when the voltage fell; two of the new ones decide.
    assert low - mark <= 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nak", "does not answer"), ("frozen", "frozen"), ("overflow", "overflow")],
)
def test_each_fault_is_no_voltage_until_it_is_gone(
    chip: RegisterFile, sampler: Sampler, seen: Seen, fault: Fault, reason: str
) -> None:
    seen.wait(valid)
    chip.set_fault(fault)
    at = seen.wait(lambda sample: reason in sample.reason, len(seen.samples))
    seen.wait_count(at + 10)
    assert all(sample.volts is None for sample in seen.samples[at : at + 10])
    chip.set_fault("none")
    seen.wait(valid, at)


@pytest.mark.parametrize("volts", [0.2, 27.0])
def test_out_of_range_is_no_voltage(
    chip: RegisterFile, sampler: Sampler, seen: Seen, volts: float
) -> None:
    seen.wait(valid)
    chip.volts = volts
    seen.wait(lambda sample: "outside" in sample.reason, len(seen.samples))
    assert sampler.current().volts is None


def test_a_brown_out_of_the_sensor_is_told_and_mended(
    chip: RegisterFile, sampler: Sampler, seen: Seen
) -> None:
    seen.wait(valid)
    mark = len(seen.samples)
    chip.set_fault("reset")
    told = seen.wait(lambda sample: "brown-out" in sample.reason, mark)
    assert seen.samples[told].volts is None
    assert chip.configuration == CONFIGURATION
    seen.wait(valid, told)


def test_a_sensor_that_comes_later_is_found(path: Path, seen: Seen) -> None:
    sampler = sampler_for(f"ina219+sim://{path}", 1.0, 500, seen)
    sampler.start()
    try:
        missing = seen.wait(lambda sample: "does not answer" in sample.reason)
        chip = RegisterFile(path, create=True)
        chip.volts = 13.1
        seen.wait(valid, missing)
        chip.close()
    finally:
        sampler.stop()


def test_a_wrong_uri_is_told_before_anything_runs(seen: Seen) -> None:
    with pytest.raises(BadInputError):
        sampler_for("ina219:///dev/null", 1.0, 500, seen)


def test_history_is_everything_since_a_moment_in_order(sampler: Sampler, seen: Seen) -> None:
    seen.wait_count(20)
    since = seen.samples[10].at
    history = sampler.history(since)
    assert history[0] == seen.samples[10]
    assert history == sorted(history, key=lambda sample: sample.at)
    assert sampler.history(clock.now() + 1) == []


def test_the_rate_is_counted(sampler: Sampler, seen: Seen) -> None:
    seen.wait_count(50)
    assert sampler.rate() > 0
    sampler.stop()
    assert not sampler.alive()


def test_a_stopped_sampler_has_no_current_voltage(sampler: Sampler, seen: Seen) -> None:
    seen.wait(valid)
    sampler.stop()
    last = sampler.latest()
    assert last.volts is not None
    while clock.now() - last.at <= 0.05:
        pass
    assert sampler.current().volts is None
    assert sampler.current().reason


def test_before_the_first_sample_there_is_no_voltage(path: Path, seen: Seen) -> None:
    sampler = sampler_for(f"ina219+sim://{path}", 1.0, 500, seen)
    assert sampler.latest().volts is None
    assert sampler.history(0.0) == []
    sampler.stop()


# On scripted readings -----------------------------------------------------------------------------


class Script:
    """A sensor that gives what a test wrote down, then says so and waits until it is released."""

    def __init__(self, readings: Iterable[Reading | SensorFault], configured: bool = True) -> None:
        self._readings = iter(readings)
        self._configured = configured
        self.opened = 0
        self.closed = 0
        self.done = threading.Event()
        self.released = threading.Event()

    def connect(self) -> Script:
        self.opened += 1
        return self

    def configure(self) -> None:
        self._configured = True

    def configured(self) -> bool:
        return self._configured

    def close(self) -> None:
        self.closed += 1

    def read(self) -> Reading:
        reading = next(self._readings, None)
        if reading is None:
            self.done.set()
            assert self.released.wait(LIMIT_S)
            return Reading(0.0, fresh=False)
        if isinstance(reading, SensorFault):
            raise reading
        return reading


def play(script: Script) -> list[Sample]:
    """All samples of a script."""
    samples: list[Sample] = []
    sampler = Sampler(script.connect, samples.append, 4000)
    sampler.start()
    assert script.done.wait(LIMIT_S)
    played = list(samples)
    script.released.set()
    sampler.stop()
    return played


def fresh(*volts: float) -> list[Reading]:
    return [Reading(value, fresh=True) for value in volts]


FAULT = SensorFault("a test says so")


def test_one_wild_reading_changes_nothing() -> None:
    samples = play(Script(fresh(12.6, 12.6, 12.6, 3.0, 12.6, 12.6, 25.0, 12.6)))
    assert [sample.volts for sample in samples[2:]] == [12.6] * 6


def test_two_of_three_decide() -> None:
    samples = play(Script(fresh(12.6, 12.6, 12.6, 11.0, 11.1)))
    assert [sample.volts for sample in samples] == [None, None, 12.6, 12.6, 11.1]


def test_a_reading_far_from_the_vote_is_looked_at_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []
    at_s = [0.0]

    class Told(Script):
        def read(self) -> Reading:
            reading = super().read()
            looks.append(f"{reading.volts:g}")
            return reading

    def sleep(seconds: float) -> None:
        looks.append("at once" if seconds <= 1.01 * DOUBT_LOOK_S else "a period")
        at_s[0] += seconds

    monkeypatch.setattr("hw.voltage.sampler.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("hw.voltage.sampler.clock", SimpleNamespace(now=lambda: at_s[0]))
    script = Told(fresh(12.6, 12.6, 12.6, 11.5, 10.0, 10.0, 10.05, 12.6))
    sampler = Sampler(script.connect, lambda _sample: None, 250)
    sampler.start()
    assert script.done.wait(LIMIT_S)
    told = list(looks)
    script.released.set()
    sampler.stop()
    pairs = list(zip(told[::2], told[1::2], strict=True))
    assert pairs == [
        *[("12.6", "a period")] * 3,
        ("11.5", "at once"),
        # A supply full of ripple is looked at twice as often and no more.
        ("10", "a period"),
        ("10", "a period"),
        ("10.05", "a period"),
        ("12.6", "at once"),
    ]


def test_after_a_fault_three_good_readings_are_needed() -> None:
    samples = play(Script([*fresh(12.6, 12.6, 12.6), FAULT, *fresh(12.6, 12.6, 12.7)]))
    assert [sample.volts for sample in samples] == [None, None, 12.6, None, None, None, 12.6]
    assert [sample.reason for sample in samples[3:6]] == ["a test says so"] * 3


def test_a_look_without_a_new_conversion_is_no_sample() -> None:
    again = [Reading(12.6, fresh=False)] * (FROZEN_LOOKS - 1)
    samples = play(Script([*fresh(12.6, 12.6, 12.6), *again, *fresh(12.6)]))
    assert [sample.volts for sample in samples] == [None, None, 12.6, 12.6]


def test_five_looks_without_a_conversion_are_a_frozen_sensor() -> None:
    again = [Reading(12.6, fresh=False)] * FROZEN_LOOKS
    samples = play(Script([*fresh(12.6, 12.6, 12.6), *again]))
    assert samples[-1].volts is None
    assert "frozen" in samples[-1].reason


def test_lasting_faults_open_the_bus_again() -> None:
    script = Script([*[FAULT] * REOPEN_AFTER_FAULTS, *fresh(12.6, 12.6, 12.6)])
    samples = play(script)
    assert samples[-1].volts == 12.6
    assert script.opened == 2
    assert script.closed == 2


def test_a_failing_listener_ends_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())
    script = Script(fresh(12.6))

    def fail(sample: Sample) -> None:
        raise ValueError(sample)

    sampler = Sampler(script.connect, fail, 1000)
    sampler.start()
    assert ended.wait(LIMIT_S)
    sampler.stop()
    assert not sampler.alive()
    assert script.closed == 1


def test_the_ring_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw.voltage.sampler.HISTORY_S", 0.01)
    script = Script(fresh(*(12.0 + number / 100 for number in range(100))))
    samples: list[Sample] = []
    sampler = Sampler(script.connect, samples.append, 4000)
    sampler.start()
    assert script.done.wait(LIMIT_S)
    assert sampler.history(0.0) == samples[100 - 36 : 100]
    assert sampler.latest() == samples[99]
    script.released.set()
    sampler.stop()
