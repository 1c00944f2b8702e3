"""The vehicle battery: one voltage for the ECUs and the sensor, with load and scripted sags."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hw import clock
from hw.sim.registers import RegisterFile

INTERNAL_RESISTANCE_OHM = 0.02
BASE_LOAD_A = 4.0


class Battery:
    """See the module. All calls on the car's event loop.

    Args:
        registers: where the sensor sees the voltage.
        open_circuit_v: voltage without load; a charger keeps it up.

    Attributes:
        history: every change as (boot time in s, volts).
    """

    def __init__(self, registers: RegisterFile, open_circuit_v: float = 13.0) -> None:
        self._registers = registers
        self._open_circuit_v = open_circuit_v
        self._load_a = BASE_LOAD_A
        self._sag_v: float | None = None
        self._sag_end: asyncio.TimerHandle | None = None
        self._wave: list[asyncio.TimerHandle] = []
        self.history: list[tuple[float, float]] = []
        self._watchers: list[Callable[[float], None]] = []
        self._update()

    def watch(self, watcher: Callable[[float], None]) -> None:
        """Call `watcher` with the new voltage at every change."""
        self._watchers.append(watcher)

    @property
    def volts(self) -> float:
        """The voltage at the terminals now."""
        if self._sag_v is not None:
            return self._sag_v
        return max(self._open_circuit_v - INTERNAL_RESISTANCE_OHM * self._load_a, 0.0)

    def set_open_circuit(self, volts: float) -> None:
        """Another battery or charger; ends a sag."""
        self._open_circuit_v = volts
        self._end_sag()

    def sag(self, volts: float, for_s: float) -> None:
        """Hold the terminals at `volts` for `for_s` seconds."""
        self._cancel()
        self._sag_v = volts
        self._sag_end = asyncio.get_running_loop().call_later(for_s, self._end_sag)
        self._update()

    def wave(self, points: Sequence[tuple[float, float]], for_s: float) -> None:
        """Follow a curve of (seconds from now, volts): cranking, ripple, a pulled clamp.

        After `for_s` seconds the battery is itself again.
        """
        self._cancel()
        loop = asyncio.get_running_loop()
        self._wave = [loop.call_later(at_s, self._terminals, volts) for at_s, volts in points]
        self._sag_end = loop.call_later(for_s, self._end_sag)

    def _terminals(self, volts: float) -> None:
        self._sag_v = volts
        self._update()

    def _cancel(self) -> None:
        for handle in (self._sag_end, *self._wave):
            if handle is not None:
                handle.cancel()
        self._sag_end, self._wave = None, []

    def add_load(self, amperes: float) -> None:
        """Add (or with a negative number take away) a load."""
        self._load_a += amperes
        self._update()

    def _end_sag(self) -> None:
        self._cancel()
        self._sag_v = None
        self._update()

    def _update(self) -> None:
        volts = self.volts
        self._registers.volts = volts
        self.history.append((clock.now(), volts))
        for watcher in self._watchers:
            watcher(volts)
