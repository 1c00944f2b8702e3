"""`fieldkit-hw`: the process that reaches the car. Puts the parts together and answers clients."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from hw import clock
from hw.config import KitConfig, load_config, run_dir, state_dir
from hw.errors import FieldKitError, UnavailableError, UsageError
from hw.gate.gate import Gate
from hw.memfd import read_sealed
from hw.messages import (
    PROTOCOL,
    AbortWrite,
    Answer,
    Arm,
    Discover,
    Done,
    Event,
    Found,
    GateChanged,
    GetJournal,
    GetRunLog,
    GetStatus,
    Hello,
    HelloReply,
    Journal,
    Memory,
    Read,
    ReadMemory,
    Reply,
    Request,
    ResumeWrite,
    RunLog,
    StartWrite,
    Status,
    Subscribe,
    UnlockForReading,
    Voltage,
)
from hw.outputs import Outputs
from hw.reading import Reader
from hw.server import Lane, Server
from hw.voltage.sampler import Sampler, sampler_for
from hw.writes import WriteService

SWITCH_INTERVAL_S = 0.0005
TICK_S = 0.1
Files = Sequence[int]


class Daemon:
    """All parts of hw in one process.

    Args:
        config: `kit.toml`.
        state: the kit's state folder.
        path: the socket.
    """

    def __init__(self, config: KitConfig, state: Path, path: Path) -> None:
        self._config = config
        self._path = path
        self._told_at = 0.0
        with ExitStack() as closing:
            # First of all: a second daemon must not touch the pins of the first.
            closing.callback(os.close, _lock(state))
            # lgpio leaves a FIFO in the working directory unless it is told another.
            os.environ.setdefault("LG_WD", str(state / "hw"))
            self._outputs = Outputs(config.outputs)
            closing.callback(self._outputs.close)
            self._server = Server(path, self._handle, _lane, _greet)
            closing.callback(self._server.close)
            self._gate = Gate(self._outputs)
            self._reader = Reader(self._gate, lambda: bool(self._writes.active_run))
            closing.callback(self._reader.close)
            self._sampler: Sampler = sampler_for(
                config.voltage.sensor,
                config.voltage.divider,
                config.voltage.rate_hz,
                self._gate.on_sample,
            )
            closing.callback(self._sampler.stop)
            self._writes = WriteService(
                self._gate, self._sampler, self._outputs, config, state, self._publish
            )
            closing.callback(self._writes.close)
            self._closing = closing.pop_all()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then end a write at its next safe point and leave."""
        with self._closing:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._server.stop())
            self._sampler.start()
            sys.stdout.write(f"ready {self._path}\n")
            sys.stdout.flush()
            notify_systemd("READY=1")
            self._server.run(self._tick, TICK_S)
            notify_systemd("STOPPING=1")

    def _tick(self) -> None:
        now = clock.now()
        if now - self._told_at < TICK_S:
            return
        self._told_at = now
        if self._sampler.alive():
            # The watchdog is fed only while the sampler lives: without it hw must be restarted.
            notify_systemd("WATCHDOG=1")
        if not self._writes.active_run:  # A run tells the voltage itself, and logs it.
            sample = self._sampler.current()
            body = Voltage(at=now, volts=sample.volts, reason=sample.reason)
            self._server.publish(Event(run="", seq=0, body=body))

    def _publish(self, event: Event) -> None:
        """Lamp and buzzer are clients too: they hear of the gate as the screen does."""
        if isinstance(event.body, GateChanged):
            try:
                self._outputs.show(event.body.state)
            except UnavailableError as error:
                # A lamp out of order stops no write; the screen shows the same.
                logging.getLogger("fieldkit.hw").warning("%s", error.what)
        self._server.publish(event)

    # Requests ---------------------------------------------------------------------------------

    def _handle(
        self, request: Request, files: Files, cancelled: Callable[[], bool]
    ) -> tuple[Reply, Files]:
        wanted = 2 if isinstance(request, Arm) else 0
        if len(files) != wanted:
            raise UsageError(
                f"The request brings {len(files)} files; it takes {wanted}.",
                "Use a client of this version.",
            )
        if isinstance(request, ReadMemory):
            descriptor, size, sha256 = self._reader.read_memory(request, cancelled)
            return Memory(id=request.id, size=size, sha256=sha256), (descriptor,)
        return self._answer(request, files), ()

    def _answer(self, request: Request, files: Files) -> Reply:
        match request:
            case GetStatus():
                return self._status(request.id)
            case Read():
                answer = self._reader.read(request.link, request.payload, request.timing)
                return Answer(id=request.id, payload=answer)
            case UnlockForReading():
                self._reader.unlock(
                    request.link, request.level, request.provider, request.params, request.timing
                )
            case Discover():
                return Found(id=request.id, ecus=self._reader.discover(request.link))
            case GetJournal():
                return Journal(id=request.id, runs=self._writes.journal())
            case GetRunLog():
                events = self._writes.run_log(request.run, request.after)
                return RunLog(id=request.id, run=request.run, events=events)
            case _:
                return self._answer_write(request, files)
        return Done(id=request.id)

    def _answer_write(self, request: Request, files: Files) -> Reply:
        match request:
            case Arm():
                document, payload = (read_sealed(descriptor) for descriptor in files)
                with self._reader.given_back():
                    report = self._writes.arm(document, payload, request.evidence, request.dry)
                return msgspec.structs.replace(report, id=request.id)
            case StartWrite():
                with self._reader.given_back():
                    self._writes.start(request.permit)
            case ResumeWrite():
                self._writes.resume(request.acknowledgment)
            case AbortWrite():
                self._writes.abort()
            case Subscribe():
                pass  # The server has noted it.
            case _:
                raise UsageError("This request is not known.", "Use a client of this version.")
        return Done(id=request.id)

    def _status(self, number: int) -> Status:
        sample = self._sampler.current()
        return Status(
            id=number,
            at=clock.now(),
            gate=self._gate.state,
            gate_reason=self._gate.reason,
            gate_next_step=self._gate.next_step,
            volts=sample.volts,
            voltage_reason=sample.reason,
            sample_rate=self._sampler.rate(),
            run=self._writes.active_run,
            write_enable=self._outputs.write_enable,
            wiring=self._config.outputs.wiring,
            simulated=self._simulated(),
            links=["can", "doip"],
        )

    def _simulated(self) -> list[str]:
        parts = []
        if self._config.voltage.sensor.startswith("ina219+sim:"):
            parts.append("voltage sensor")
        if self._config.media.simulated:
            parts.append("media")
        return parts


def _lane(request: Request) -> Lane:
    """What waits for the car takes one lane; status, abort and resume never wait behind it."""
    car = Read | ReadMemory | UnlockForReading | Discover | Arm | StartWrite
    return "car" if isinstance(request, car) else "quick"


def _lock(state: Path) -> int:
    """Take the journal's folder for this process; the kernel gives it back when the process ends.

    Raises:
        UnavailableError: another daemon has it, or it cannot be made.
    """
    try:
        folder = state / "hw"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise UnavailableError(
            f"The kit's state folder {state} cannot be used: {error}.",
            "Check the folder that FIELDKIT_STATE names and the rights on it.",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UnavailableError(
            f"fieldkit-hw is running already on the state folder {state}.", "Stop it first."
        ) from error
    return descriptor


def _greet(hello: Hello) -> Reply:
    try:
        own = version("fieldkit")
    except PackageNotFoundError:
        own = "source"
    return HelloReply(id=hello.id, protocol=PROTOCOL, version=own, boot_id=clock.boot_id())


def notify_systemd(state: str) -> None:
    """Tell systemd, where it started us (sd_notify(3)); otherwise do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError as error:
            logging.getLogger("fieldkit.hw").warning("systemd was not told %s: %s", state, error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fieldkit-hw", description=__doc__)
    parser.add_argument("--socket", type=Path, default=None, help="default: hw.sock in the run dir")
    parser.add_argument("--state", type=Path, default=None, help="default: the state folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
    # The sampler shares the interpreter with the thread that sends: a thread that computes must
    # give it up within half a millisecond, not the usual five, or a sag is seen late.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    state = options.state or state_dir()
    path = options.socket or run_dir() / "hw.sock"
    try:
        Daemon(load_config(state), state, path).run()
    except FieldKitError as error:
        sys.stderr.write(f"{error.what}\n{error.next_step}\n")
        return error.exit_status
    return 0
