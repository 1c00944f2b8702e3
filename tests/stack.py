"""A whole kit for tests: `fieldkit up --sim` as a person starts it, and the car's own view.

Nothing here reaches into the kit: it is used by the command line and by the API's client, and what
happened is asked of the simulated car (its log and memory), past the kit.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.age import new_identity
from appliance.client import Client
from hw.errors import UnavailableError
from hw.gate.reads import is_read

ROOT = Path(__file__).resolve().parent.parent
FIELDKIT = [sys.executable, "-m", "appliance.cli"]
TECHNICIAN = "maria"
PASSPHRASE = "correct horse battery staple"
COMMAND_LIMIT_S = 100
WAIT_LIMIT_S = 30.0
GOOD_VOLTS = 13.2


@dataclass
class Stack:
    """A kit and a car, up and running.

    Attributes:
        folder: holds `state`, `run` and whatever a test puts there.
        car: what the simulated car announced.
        recovery_key: the offline recovery identity, for the stock `age`.
    """

    folder: Path
    recovery_key: str
    car: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def link(self, ecu: str, kind: str) -> str:
        return str(self.car["ecus"][ecu][kind])

    # The person -------------------------------------------------------------------------------

    def fieldkit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return run_fieldkit(self.folder, *words)

    def json(self, *words: str) -> dict[str, Any]:
        """Run one command that must succeed; gives its object."""
        ended = self.fieldkit(*words, "--json")
        assert ended.returncode == 0, ended.stderr
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    def with_passphrase(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command that asks for the passphrase."""
        return self.fieldkit(*words, "--passphrase-file", str(self.folder / "passphrase"))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start one command and go on."""
        return subprocess.Popen(
            [*FIELDKIT, *words, "--passphrase-file", str(self.folder / "passphrase")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self.folder),
        )

    def client(self) -> Client:
        return Client(self.run / "appliance.sock")

    def unlock(self) -> None:
        """Unlock, waiting for an appliance that is being started again."""
        until = time.monotonic() + WAIT_LIMIT_S
        while True:
            try:
                with self.client() as client:
                    client.unlock(TECHNICIAN, PASSPHRASE)
                    return
            except UnavailableError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    # The car ----------------------------------------------------------------------------------

    def control(self, **command: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect(self.car["control"])
            with sock.makefile("rwb") as lines:
                lines.write(json.dumps(command).encode() + b"\n")
                lines.flush()
                reply: dict[str, Any] = json.loads(lines.readline())
        assert reply["ok"], reply
        return reply

    def memory(self, ecu: str, address: int, length: int) -> bytes:
        reply = self.control(do="memory", ecu=ecu, address=address, length=length)
        return bytes.fromhex(reply["hex"])

    def requests(self, after: int = 0) -> list[dict[str, Any]]:
        """The car's log behind entry number `after`."""
        found: list[dict[str, Any]] = []
        while page := self.control(do="log", after=after)["entries"]:
            found += page
            after = page[-1]["n"]
        return found

    def mark(self) -> int:
        """Number of the last entry of the car's log."""
        entries = self.requests()
        return int(entries[-1]["n"]) if entries else 0

    def writes(self, after: int) -> list[str]:
        """Requests in the car's log that are not on the read list."""
        payloads = [str(entry["request"]) for entry in self.requests(after)]
        return [text for text in payloads if not is_read(bytes.fromhex(text), planned=False)]

    def volts(self, volts: float) -> None:
        self.control(do="battery", volts=volts)

    def when_blocks(self, ecu: str, count: int, **then: Any) -> None:
        """Let something happen when the ECU gets its next `count`th TransferData."""
        self.control(do="when", ecu=ecu, service=0x36, count=count, then=then)

    def wait_for_block(self, ecu: str, after: int) -> None:
        """Return once the ECU got a TransferData with data."""
        until = time.monotonic() + WAIT_LIMIT_S
        while time.monotonic() < until:
            for entry in self.requests(after):
                if entry["ecu"] == ecu and entry["request"][:2] == "36":
                    return
            time.sleep(0.02)
        raise TimeoutError("the ECU got no TransferData")

    # Processes --------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """Process number of who listens on a socket of the kit."""
        kind = socket.SOCK_SEQPACKET if name == "hw" else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.connect(str(self.run / f"{name}.sock"))
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[0])

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FIELDKIT_STATE": str(folder / "state"),
        "FIELDKIT_RUN": str(folder / "run"),
        "PYTHONPATH": str(ROOT),
    }


def run_fieldkit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FIELDKIT, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_LIMIT_S,
        env=environment(folder),
        cwd=folder,
    )


def make_kit(folder: Path) -> str:
    """Make a kit by `fieldkit init --sim`; gives the offline recovery identity."""
    secret = folder / "passphrase"
    secret.touch(0o600)
    secret.write_text(f"{PASSPHRASE}\n")
    recovery_key, recovery = new_identity()
    _, workshop = new_identity()
    people = ["--technician", TECHNICIAN, "--passphrase-file", str(secret)]
    recipients = ["--workshop", workshop, "--recovery", recovery]
    made = run_fieldkit(folder, "init", "--sim", *people, *recipients)
    assert made.returncode == 0, made.stderr
    return recovery_key


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Make a kit, start `fieldkit up --sim`, unlock it; end it all."""
    folder = Path(tempfile.mkdtemp(prefix="fk", dir="/tmp"))
    try:
        stack = Stack(folder, make_kit(folder))
        with _up(folder) as process:
            stack.car = _announced(process)
            stack.volts(GOOD_VOLTS)
            stack.unlock()
            yield stack
    finally:
        shutil.rmtree(folder)


def write_srecord(data: bytes, address: int, path: Path) -> None:
    """A file for the ECU, made by a writer that is not the kit's."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(data)
    moved = ["--change-addresses", hex(address), "--srec-forceS3"]
    subprocess.run(
        ["objcopy", "-I", "binary", "-O", "srec", *moved, raw, path], check=True, timeout=30
    )
    raw.unlink()


@contextmanager
def _up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (
        (folder / "up.log").open("w") as errors,
        subprocess.Popen(
            [*FIELDKIT, "up", "--sim", "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(folder),
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=WAIT_LIMIT_S)


def _announced(process: subprocess.Popen[str]) -> dict[str, Any]:
    car: dict[str, Any] = {}
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == "sim":
            car = told["car"]
        if told["event"] == "ready":
            return car
    raise AssertionError(f"'fieldkit up' ended with {process.wait()}")
