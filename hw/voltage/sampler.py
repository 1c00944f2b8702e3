"""The sampler: looks at the voltage sensor at a fixed rate and does nothing else.

2-of-3 voting is the median of the last three valid readings: one wild reading changes nothing, two
of three decide. Whatever is not a fresh, valid reading is 'no voltage', never the last value; after
a fault three valid readings are needed again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hw import clock
from hw.voltage.ina219 import Ina219Sensor, Reading, SensorFault, parse_sensor_uri

HISTORY_S = 40.0
FROZEN_LOOKS = 5
"""So many looks in a row without a completed conversion (0.15 ms each): the chip stands still."""
STALE_S = 0.05
"""`current` takes no sample older than this; a plan's window sets the gate's own limit."""
CHECK_CONFIGURATION_S = 0.5
REOPEN_AFTER_FAULTS = 10
RETRY_S = 0.05
DOUBT_V = 0.1
"""A reading this far from the vote is looked at again at once, not after a whole period: a sag is
then decided by the sensor's next conversion."""
DOUBT_LOOK_S = 0.00025
"""A conversion takes 0.15 ms (SBOS448, 8.6.2.1); the rest is for a slow chip and the bus."""
_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: boot time (s), volts at the battery or None, and why None."""

    at: float
    volts: float | None
    reason: str = ""


class Sensor(Protocol):
    """What the sampler needs of a sensor (`Ina219Sensor`). All but `close` raise `SensorFault`."""

    def configure(self) -> None:
        """Write the configuration."""

    def configured(self) -> bool:
        """Is the configuration still there?"""

    def read(self) -> Reading:
        """Look once."""

    def close(self) -> None:
        """Give the bus back."""


class Sampler:
    """Samples on its own thread from `start` to `stop`.

    A look at which no conversion was complete yet gives no sample at all.

    Args:
        connect: opens the sensor; called again after lasting faults. Raises `SensorFault`.
        on_sample: takes each sample, on the sampler's thread; must be quick. What it raises ends
            the sampler: the gate then closes on the age of the last sample.
        rate_hz: looks per second, at least 250.
    """

    def __init__(
        self, connect: Callable[[], Sensor], on_sample: Callable[[Sample], None], rate_hz: int
    ) -> None:
        self._connect = connect
        self._on_sample = on_sample
        self._period_s = 1.0 / rate_hz
        # A ring that only this thread writes and others read without a lock: they walk back from
        # the newest sample, far from the place that is written next.
        self._ring: list[Sample | None] = [None] * int(HISTORY_S * rate_hz)
        self._count = 0
        self._started_at = clock.now()
        self._votes: deque[float] = deque(maxlen=3)
        self._sensor: Sensor | None = None
        self._doubt = False
        self._unready = 0
        self._faults = 0
        self._checked_at = 0.0
        self._retry_at = 0.0
        self._fault = "the sensor has not been read yet"
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.scheduling = "not started"
        """`real-time` or `normal`, whichever the system grants."""

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, wait for the thread (at most 5 s) and close the sensor."""
        self._stopping = True
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def latest(self) -> Sample:
        """The newest sample, however old; 'no voltage' before the first one."""
        newest = self._ring[(self._count - 1) % len(self._ring)]
        return newest or Sample(self._started_at, None, self._fault)

    def current(self) -> Sample:
        """The newest sample if it is of this moment (`STALE_S`), else 'no voltage'."""
        sample, now = self.latest(), clock.now()
        if now - sample.at > STALE_S:
            return Sample(now, None, "the sensor has given no sample for a while")
        return sample

    def alive(self) -> bool:
        """Does the sampler's thread still look at the sensor?"""
        return self._thread.is_alive() and clock.now() - self.latest().at < 1.0

    def history(self, since: float) -> list[Sample]:
        """Samples from boot time `since` (s) on, oldest first; at most about the last 40 s."""
        size, count = len(self._ring), self._count
        found: list[Sample] = []
        # A tenth stays free: the thread may overwrite the oldest samples meanwhile.
        for number in range(count - 1, max(count - size * 9 // 10, 0) - 1, -1):
            sample = self._ring[number % size]
            if sample is None or sample.at < since:
                break
            found.append(sample)
        found.reverse()
        return found

    def rate(self) -> float:
        """Samples over the last second."""
        return float(len(self.history(clock.now() - 1.0)))

    def _run(self) -> None:
        self.scheduling = _ask_for_priority()
        due = clock.now()
        try:
            while not self._stopping:
                sample = self._sample()
                if sample is not None:
                    self._ring[self._count % len(self._ring)] = sample
                    self._count += 1
                    self._on_sample(sample)
                period_s = min(DOUBT_LOOK_S, self._period_s) if self._doubt else self._period_s
                # Late: go on from here; a burst would find no new conversion.
                due = max(due + period_s, clock.now())
                time.sleep(max(due - clock.now(), 0))
        finally:
            self._close()

    def _sample(self) -> Sample | None:
        # Taken before the look: a thread that was held up in between must not make it younger.
        at = clock.now()
        # One early look only, so that a supply full of ripple costs at most twice the looks.
        may_doubt, self._doubt = not self._doubt, False
        try:
            reading = self._look(at)
        except SensorFault as fault:
            self._votes.clear()
            self._fault = fault.reason
            return Sample(at, None, fault.reason)
        if not reading.fresh:
            return None
        self._votes.append(reading.volts)
        if len(self._votes) < 3:
            return Sample(at, None, self._fault)
        volts = sorted(self._votes)[1]
        self._doubt = may_doubt and abs(reading.volts - volts) > DOUBT_V
        return Sample(at, volts)

    def _look(self, now: float) -> Reading:
        sensor = self._sensor or self._open(now)
        try:
            if now - self._checked_at >= CHECK_CONFIGURATION_S:
                self._check_configuration(sensor, now)
            reading = sensor.read()
            self._unready = 0 if reading.fresh else self._unready + 1
            if self._unready >= FROZEN_LOOKS:
                raise SensorFault("the sensor is frozen: it completes no conversion")
        except SensorFault:
            self._faults += 1
            # The chip may have been reset meanwhile: look at its configuration first thing.
            self._checked_at = 0.0
            if self._faults >= REOPEN_AFTER_FAULTS:
                # The bus itself may have gone and come back.
                self._close()
            raise
        self._faults = 0
        return reading

    def _open(self, now: float) -> Sensor:
        if now < self._retry_at:
            raise SensorFault(self._fault)
        self._retry_at = now + RETRY_S
        self._sensor = self._connect()
        self._checked_at, self._faults = now, 0
        return self._sensor

    def _close(self) -> None:
        sensor, self._sensor = self._sensor, None
        if sensor is not None:
            # The bus is gone already; there is nothing left to give back.
            with contextlib.suppress(OSError):
                sensor.close()

    def _check_configuration(self, sensor: Sensor, now: float) -> None:
        if not sensor.configured():
            sensor.configure()
            self._unready = 0
            raise SensorFault("the sensor had lost its configuration, as after a brown-out")
        self._checked_at = now


def _ask_for_priority() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError:
        # Not allowed here. The gate counts on the age of samples, not on this.
        return "normal"
    return "real-time"


def sampler_for(
    uri: str, divider: float, rate_hz: int, on_sample: Callable[[Sample], None]
) -> Sampler:
    """A sampler of the kit's sensor.

    Raises:
        BadInputError: the URI is not of a known form.
    """
    parse_sensor_uri(uri)
    return Sampler(lambda: Ina219Sensor(uri, divider), on_sample, rate_hz)
