"""The sampler: looks at the voltage sensor at a fixed rate and does nothing else.

2-of-3 voting is the median of the last three valid readings: one wild reading changes nothing, two
of three decide. Whatever is not a fresh, valid reading is 'no voltage', never the last value.
"""

from __future__ import annotations

import os
import statistics
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hw import clock
from hw.voltage.ina219 import Ina219Sensor, Reading, SensorFault

HISTORY_S = 40.0
FROZEN_AFTER_S = 0.02
"""Without a completed conversion for this long (10 bit takes 0.15 ms) the chip stands still."""
CHECK_CONFIGURATION_S = 0.5
RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: boot time (s), volts at the battery or None, and why None."""

    at: float
    volts: float | None
    reason: str = ""


class Sensor(Protocol):
    """What the sampler needs of a sensor (`Ina219Sensor`)."""

    def configure(self) -> None:
        """Write the configuration."""

    def configured(self) -> bool:
        """Is the configuration still there?"""

    def read(self) -> Reading:
        """Look once; raises `SensorFault`."""


class Sampler:
    """Samples on its own thread from `start` to `stop`.

    Args:
        connect: opens the sensor; called again after a fault. Raises `SensorFault`.
        on_sample: takes each sample, on the sampler's thread; must be quick.
        rate_hz: looks per second, at least 250.
    """

    def __init__(
        self, connect: Callable[[], Sensor], on_sample: Callable[[Sample], None], rate_hz: int
    ) -> None:
        self._connect = connect
        self._on_sample = on_sample
        self._period_s = 1.0 / rate_hz
        self._ring: deque[Sample] = deque(maxlen=int(HISTORY_S * rate_hz))
        self._votes: deque[float] = deque(maxlen=3)
        self._sensor: Sensor | None = None
        self._fresh_at = 0.0
        self._checked_at = 0.0
        self._retry_at = 0.0
        self._fault = "the sensor has not been read yet"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.scheduling = "normal"

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def latest(self) -> Sample:
        """The newest sample; 'no voltage' before the first one."""
        return self._ring[-1] if self._ring else Sample(clock.now(), None, self._fault)

    def history(self, since: float) -> list[Sample]:
        """Samples from boot time `since` (s) on, oldest first; at most the last 40 s."""
        found: list[Sample] = []
        for sample in reversed(self._ring.copy()):
            if sample.at < since:
                break
            found.append(sample)
        found.reverse()
        return found

    def rate(self) -> float:
        """Samples per second over the last second."""
        return float(len(self.history(clock.now() - 1.0)))

    def _run(self) -> None:
        self._ask_for_priority()
        due = clock.now()
        while not self._stop.is_set():
            sample = self._sample()
            self._ring.append(sample)
            self._on_sample(sample)
            due += self._period_s
            now = clock.now()
            if due > now:
                self._stop.wait(due - now)
            else:
                due = now  # Late: go on from here, do not catch up in a burst.

    def _sample(self) -> Sample:
        try:
            volts = self._look()
        except SensorFault as fault:
            self._votes.clear()
            self._fault = fault.reason
            return Sample(clock.now(), None, fault.reason)
        self._votes.append(volts)
        if len(self._votes) < 3:
            return Sample(clock.now(), None, self._fault)
        return Sample(clock.now(), statistics.median(self._votes))

    def _look(self) -> float:
        now = clock.now()
        if self._sensor is None:
            self._open(now)
        sensor = self._sensor
        if sensor is None:
            raise SensorFault(self._fault)
        try:
            if now - self._checked_at >= CHECK_CONFIGURATION_S:
                self._check_configuration(sensor, now)
            reading = sensor.read()
        except SensorFault:
            # The chip may have been reset meanwhile: look at its configuration first thing.
            self._checked_at = 0.0
            raise
        if reading.fresh:
            self._fresh_at = now
        elif now - self._fresh_at > FROZEN_AFTER_S:
            self._checked_at = 0.0
            raise SensorFault("the sensor is frozen: it completes no conversion")
        return reading.volts

    def _open(self, now: float) -> None:
        if now < self._retry_at:
            return
        self._retry_at = now + RETRY_S
        self._sensor = self._connect()
        self._fresh_at = self._checked_at = now

    def _check_configuration(self, sensor: Sensor, now: float) -> None:
        self._checked_at = now
        if not sensor.configured():
            sensor.configure()
            self._fresh_at = now
            raise SensorFault("the sensor had lost its configuration, as after a brown-out")

    def _ask_for_priority(self) -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
            self.scheduling = "real-time"
        except OSError:
            # Not allowed here. The gate counts on the age of samples, not on this.
            self.scheduling = "normal"


def sampler_for(
    uri: str, divider: float, rate_hz: int, on_sample: Callable[[Sample], None]
) -> Sampler:
    """A sampler of the kit's sensor."""
    return Sampler(lambda: Ina219Sensor(uri, divider), on_sample, rate_hz)
