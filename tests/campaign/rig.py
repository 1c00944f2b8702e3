"""The supervisor of a run: starts the car and the kit, keeps them running, lets things go wrong.

It does for the kit what systemd does on a real one (a process that ended is started again), and
what fate does. The technician talks to it over a socket pair. Its children are forked from the
worker, which has imported everything: each is a process of its own that runs the program's `main`.
"""

from __future__ import annotations

import heapq
import itertools
import json
import mmap
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import appliance.daemon
import hw.daemon
import hw.sim.car
from appliance import ids
from appliance.identity import wallclock
from appliance.supervisor import listener_of
from tests.campaign.faults import Fault, Moment, Scenario
from tests.campaign.sandbox import Filesystems, die_with_parent
from tests.campaign.template import MEMORY_LIMIT, Places

READY_WITHIN_S = 30.0
RESTART_AFTER_S = 0.1
POWER_BACK_AFTER_S = 0.2
POLL_S = 0.02
OPEN_FILES = 256
CAR_LIMIT_S = 10.0
HW_NICE = -10
"""As in systemd/fieldkit-hw.service."""
ERASE_MS, PROGRAM_US_PER_KIB = 8, 24_000
KIT = ("hw", "appliance")
_DAY_S = 86400.0


class WallClock:
    """The kit's real-time clock, shared by its processes and set by fate."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def jump(self, days: float) -> None:
        """Set the clock forward or back."""
        struct.pack_into("<d", self._shared, 0, self.offset_s + days * _DAY_S)

    @property
    def offset_s(self) -> float:
        """Seconds that it is ahead."""
        return float(struct.unpack_from("<d", self._shared)[0])

    def install(self) -> None:
        """Make this process read it: the two places where the kit reads wall time."""
        clock = self

        class Shifted(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + timedelta(seconds=clock.offset_s)

        vars(wallclock)["datetime"] = Shifted
        shifted = SimpleNamespace(time_ns=lambda: time.time_ns() + int(clock.offset_s * 1e9))
        vars(ids)["time"] = shifted


class Car:
    """A connection to the simulated car's control socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(CAR_LIMIT_S)
        self.socket.connect(path)
        self._lines = self.socket.makefile("rb")

    def send(self, command: dict[str, Any]) -> None:
        """Send one command; its answer is to be received."""
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """The next answer."""
        answer: dict[str, Any] = json.loads(self._lines.readline())
        if not answer["ok"]:
            raise ValueError(answer["error"])
        return answer

    def do(self, what: str, **values: Any) -> dict[str, Any]:
        """One command and its answer."""
        self.send({"do": what, **values})
        return self.receive()

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self.socket.close()


class Handle:
    """The technician's end: tells the supervisor the phase and asks it to put things right."""

    def __init__(self, channel: socket.socket, places: Places) -> None:
        self._channel, self._places = channel, places
        channel.settimeout(READY_WITHIN_S * 2)
        self.links: dict[str, Any] = self._answer()

    def flasher(self, pid: int) -> None:
        """This process is what faults of the kit strike, where there is no kit."""
        self._ask({"flasher": pid})

    def phase(self, name: str) -> None:
        """A phase of the job begins: its faults are due from now on."""
        self._ask({"phase": name})

    def heal(self) -> None:
        """Charger on, plug in, media in place, processes going."""
        self._ask({"heal": True})

    def end(self) -> None:
        """The job is over: nothing more goes wrong, and everything is healed."""
        self._ask({"end": True})

    def _ask(self, message: dict[str, Any]) -> None:
        self._channel.send(json.dumps(message).encode())
        self._answer()

    def _answer(self) -> dict[str, Any]:
        if not (packet := self._channel.recv(65536)):
            logs = [log_of(self._places, name) for name in ("rig", "sim")]
            raise RuntimeError(f"the run's supervisor ended:\n{''.join(logs)}")
        answer: dict[str, Any] = json.loads(packet)
        return answer


def start_rig(
    scenario: Scenario, places: Places, filesystems: Filesystems, *, kit: bool = True
) -> Handle:
    """Fork the supervisor; returns once the car and, if there is to be one, the kit answer."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        mine.close()
        try:
            die_with_parent()
            Rig(scenario, places, filesystems, theirs).run(KIT if kit else ())
        except BaseException:  # noqa: BLE001 - the fork ends here, and its reason must be read
            with (places.run / "rig.log").open("a") as log:
                traceback.print_exc(file=log)
        finally:
            os._exit(1)
    theirs.close()
    return Handle(mine, places)


class Rig:
    """See the module."""

    def __init__(
        self, scenario: Scenario, places: Places, filesystems: Filesystems, channel: socket.socket
    ) -> None:
        self._scenario, self._places, self._disks = scenario, places, filesystems
        self._channel = channel
        self._clock = WallClock()
        self._pids: dict[str, int] = {}
        self._flasher = 0
        self._off = False
        self._over = False
        self._stopped: set[str] = set()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._waiting: dict[Car, tuple[Moment, Callable[[], None]]] = {}
        self._pending = list(scenario.faults)
        self._selector = selectors.DefaultSelector()

    def run(self, kit: Sequence[str]) -> None:
        """Supervise until the run ends, which kills this process."""
        links = self._start_car()
        self._car = Car(links["control"])
        for name in kit:
            self._start(name)
        for name in kit:
            self._wait_ready(name)
        self._channel.send(json.dumps(links).encode())
        self._selector.register(self._channel, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._channel:
                    self._obey(json.loads(self._channel.recv(65536)))
                else:
                    self._request_seen(key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            self._reap()

    def _patience(self) -> float:
        left = self._due[0][0] - time.monotonic() if self._due else POLL_S
        return min(max(left, 0.0), POLL_S)

    def _later(self, after_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + after_s, next(self._numbers), action))

    def _fault_later(self, after_s: float, act: Callable[[], None]) -> None:
        """Let something go wrong then; a quick job is over before all that was to happen to it."""

        def unless_over() -> None:
            if not self._over:
                act()

        if after_s:
            self._later(after_s, unless_over)
        else:
            unless_over()

    def _obey(self, message: dict[str, Any]) -> None:
        if "phase" in message:
            self._begin(message["phase"])
        elif "flasher" in message:
            self._flasher = int(message["flasher"])
        else:
            self._over |= "end" in message
            self._heal()
        self._channel.send(b"{}")

    # Processes --------------------------------------------------------------------------------

    def _start_car(self) -> dict[str, Any]:
        out, into = os.pipe()
        words = ["--folder", str(self._places.car), "--seed", str(self._scenario.run + 1)]
        words += ["--memory-limit", str(MEMORY_LIMIT)]
        words += ["--erase-ms-per-sector", str(ERASE_MS)]
        words += ["--program-us-per-kib", str(PROGRAM_US_PER_KIB)]
        self._fork("sim", lambda: hw.sim.car.main(words), into)
        os.close(into)
        with os.fdopen(out) as lines:
            links: dict[str, Any] = json.loads(lines.readline())
        return links

    def _start(self, name: str) -> None:
        self._fork(name, self._kit_main if name == "hw" else self._appliance_main)

    def _kit_main(self) -> int:
        with suppress(PermissionError):
            os.nice(HW_NICE)
        state, path = str(self._places.state), str(self._places.run / "hw.sock")
        return hw.daemon.main(["--state", state, "--socket", path])

    def _appliance_main(self) -> int:
        self._clock.install()
        return appliance.daemon.main()

    def _fork(self, name: str, main: Callable[[], int], stdout: int | None = None) -> None:
        if pid := os.fork():
            self._pids[name] = pid
            return
        status = 70
        try:
            die_with_parent()
            log = os.open(self._places.run / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log if stdout is None else stdout, 1)
            os.dup2(log, 2)
            # Whoever started the campaign may have put something else in their place.
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            _leave_open_files()
            os.environ["FIELDKIT_STATE"] = str(self._places.state)
            os.environ["FIELDKIT_RUN"] = str(self._places.run)
            status = main()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - as a process that ends by an exception would
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _wait_ready(self, name: str) -> None:
        kind = socket.SOCK_SEQPACKET if name == "hw" else socket.SOCK_STREAM
        until = time.monotonic() + READY_WITHIN_S
        while listener_of(self._places.run / f"{name}.sock", kind) != self._pids[name]:
            if time.monotonic() > until:
                raise TimeoutError(f"{name} did not start")
            self._reap()
            time.sleep(POLL_S / 2)

    def _reap(self) -> None:
        for name, pid in list(self._pids.items()):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
            del self._pids[name]
            self._stopped.discard(name)
            if name == "sim":
                raise RuntimeError("the simulated car ended")
            if not self._off:
                self._later(RESTART_AFTER_S, partial(self._start_again, name))

    def _start_again(self, name: str) -> None:
        if name not in self._pids and not self._off:
            self._start(name)

    def _signal(self, name: str, number: int) -> None:
        if pid := self._flasher or self._pids.get(name, 0):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # Faults -----------------------------------------------------------------------------------

    def _begin(self, phase: str) -> None:
        due = [fault for fault in self._pending if fault.at.phase == phase]
        self._pending = [fault for fault in self._pending if fault.at.phase != phase]
        for fault in due:
            if fault.car:
                self._let_car(fault)
            elif fault.kit:
                self._let_kit(fault)

    def _let_car(self, fault: Fault) -> None:
        at, command = fault.at, fault.car
        if at.service:
            self._car.do("when", **_awaited(at), after_s=at.after_s, then=command)
        else:
            self._fault_later(at.after_s, lambda: self._tell_car(command))

    def _tell_car(self, command: dict[str, Any]) -> None:
        self._car.send(command)
        self._car.receive()

    def _let_kit(self, fault: Fault) -> None:
        at = fault.at

        def act() -> None:
            self._do(dict(fault.kit))

        if not at.service:
            self._fault_later(at.after_s, act)
            return
        car = Car(str(self._places.car / "control.sock"))
        car.send({"do": "await", **_awaited(at)})
        self._waiting[car] = at, act
        self._selector.register(car.socket, selectors.EVENT_READ, car)

    def _request_seen(self, car: Car) -> None:
        at, act = self._waiting.pop(car)
        self._selector.unregister(car.socket)
        car.close()
        self._fault_later(at.after_s, act)

    def _do(self, order: dict[str, Any]) -> None:
        match order.pop("do"):
            case "kill":
                self._signal(order["process"], signal.SIGKILL)
            case "stop":
                self._stop(order["process"], order["for_s"])
            case "starve":
                self._starve(order, time.monotonic() + order["for_s"])
            case "power_cut":
                self._cut_power()
            case "fill":
                self._disks.fill(order["where"])
            case "pull":
                self._disks.pull(order["where"])
            case "read_only":
                self._disks.read_only(order["where"])
            case "flip":
                draw = random.Random(order["seed"]).randrange
                self._disks.flip(order["where"], draw, order["bits"])
            case "clock":
                self._clock.jump(order["days"])
            case unknown:
                raise ValueError(unknown)

    def _stop(self, name: str, for_s: float) -> None:
        self._signal(name, signal.SIGSTOP)
        self._stopped.add(name)
        self._later(for_s, lambda: self._go_on(name))

    def _go_on(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)
        self._stopped.discard(name)

    def _starve(self, order: dict[str, Any], until: float) -> None:
        if time.monotonic() < until:
            self._stop(order["process"], order["stop_s"])
            self._later(order["stop_s"] + order["go_s"], lambda: self._starve(order, until))

    def _cut_power(self) -> None:
        self._off = True
        for name in KIT:
            self._signal(name, signal.SIGKILL)
        if self._flasher:
            return
        while any(name in self._pids for name in KIT):
            self._reap()
            time.sleep(0.001)
        self._disks.cut_power()
        for path in self._places.run.glob("*.sock"):
            path.unlink()  # The run folder is memory on a kit.
        self._later(POWER_BACK_AFTER_S, self._power_back)

    def _power_back(self) -> None:
        self._off = False
        for name in KIT:
            self._start_again(name)

    def _heal(self) -> None:
        self._tell_car({"do": "heal"})
        for name in list(self._stopped):
            self._go_on(name)
        if not self._off:
            self._disks.heal()


def _leave_open_files() -> None:
    """Let go of what was open before the fork.

    Not by closing: an object of the parent that still knows a number would close it under whoever
    got that number next.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3, OPEN_FILES):
        with suppress(OSError):
            os.fstat(number)
            os.dup2(nowhere, number)


def _awaited(at: Moment) -> dict[str, Any]:
    return {"ecu": "engine", "service": at.service, "count": at.count}


def log_of(places: Places, name: str) -> str:
    """What a process of the run wrote on its standard error."""
    path: Path = places.run / f"{name}.log"
    return path.read_text(errors="replace") if path.exists() else ""
