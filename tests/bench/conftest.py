"""The bench's fixtures: the kernel's own CAN, I2C and GPIO, the car behind them, the kit on them.

They need the VM that `make bench-vm` boots; without it the folder refuses to be collected.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hw.daemon
import hw.sim.car
from hw.messages import Event, Voltage
from hw.plan import Download, Step, WritePlan
from tests.bench import mcp2221
from tests.bench.forked import Forked
from tests.kit import ROOT, TIMING, WINDOW, Car, Kit

if "FIELDKIT_BENCH" not in os.environ:
    raise pytest.UsageError("tests/bench runs in the bench VM only: make bench-vm")

RESULTS = Path(os.environ["FIELDKIT_BENCH"]) / "results.json"
NETWORK = ROOT / "systemd" / "network"
CAN_TYPE = 280
SETTLE_S = 30.0
# The VM computes several times slower than a kit, and a car on it too.
SLOW = msgspec.structs.replace(TIMING, p2_s=1.0)
# 50 ms without a sample end a write on a kit. Here the emulated bridge, which takes six reports for
# a look at the sensor, shares one processor with all the rest.
SLOW_WINDOW = msgspec.structs.replace(WINDOW, stale_s=0.2)
BLOCK_BYTES = 0x400


def until(true: Callable[[], object], what: str, limit_s: float = SETTLE_S) -> None:
    """Wait until something is so."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.1)  # Each look takes time from the one processor.


def record(name: str, value: float, unit: str) -> None:
    """Leave a measured number for `make bench`."""
    with RESULTS.open("a") as results:
        results.write(json.dumps({"name": name, "value": round(value, 2), "unit": unit}) + "\n")


def run(*words: str) -> str:
    """Run a program that must succeed."""
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
    return ended.stdout


def interface(name: str) -> dict[str, Any]:
    """What the kernel says of a network interface."""
    told = json.loads(run("ip", "-json", "-details", "-statistics", "link", "show", name))[0]
    assert isinstance(told, dict)
    return told


def is_up(name: str) -> bool:
    """Up and with a carrier: `can1` says NO-CARRIER for a while after it was brought up."""
    return Path(f"/sys/class/net/{name}/operstate").read_text().strip() == "up"


@pytest.fixture(scope="session")
def can_bus() -> Iterator[None]:
    """can0 and can1 as systemd-networkd brings them up by the files that the kit ships."""
    folder = Path("/run/systemd/network")
    folder.mkdir(parents=True)
    for name in ("80-can.network", "80-can.link"):
        shutil.copy(NETWORK / name, folder)
    run("/lib/systemd/systemd-udevd", "--daemon")
    run("udevadm", "trigger", "--action=add", "--subsystem-match=net")
    run("udevadm", "settle")
    with (
        Path("/run/networkd.log").open("w") as log,
        subprocess.Popen(["/lib/systemd/systemd-networkd"], stderr=log, stdout=log) as networkd,
    ):
        until(lambda: is_up("can0") and is_up("can1"), "can0 and can1 are up")
        yield
        networkd.terminate()


@dataclass
class Pins:
    """gpio-sim's lines, from the side of what is soldered to them."""

    chip: Path

    def level(self, number: int) -> int:
        """What a kit drives, or the pull where it drives nothing."""
        return int((self.chip / f"sim_gpio{number}/value").read_text())

    def pull(self, number: int, *, up: bool) -> None:
        """Press or release what is wired to an input."""
        (self.chip / f"sim_gpio{number}/pull").write_text("pull-up" if up else "pull-down")


@pytest.fixture(scope="session")
def pins() -> Pins:
    """/dev/gpiochip0 with a Raspberry Pi's 28 lines, each with a pull-down as on the real board."""
    device = Path("/sys/kernel/config/gpio-sim/bench")
    bank = device / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text("28")
    (bank / "label").write_text("pinctrl-bcm2711")
    (device / "live").write_text("1")
    # gpiozero asks the processor which board this is: a Raspberry Pi 4.
    cpuinfo = Path("/run/cpuinfo")
    cpuinfo.write_text(Path("/proc/cpuinfo").read_text() + "\nRevision\t: c03114\n")
    run("mount", "--bind", str(cpuinfo), "/proc/cpuinfo")
    name = (device / "dev_name").read_text().strip()
    chip = (bank / "chip_name").read_text().strip()
    assert chip == "gpiochip0"
    return Pins(Path(f"/sys/devices/platform/{name}/{chip}"))


class ForkedCar(Car):
    """The simulated car without the start of a Python."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._forked = Forked(lambda: hw.sim.car.main(["--folder", str(folder), *options]))
        self.info = json.loads(self._forked.output.readline())
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(self.info["control"])
        self._stream = self._control.makefile("rwb")

    def close(self) -> None:
        self._stream.close()
        self._control.close()
        self._forked.signal(signal.SIGTERM)
        self._forked.wait()


def _is_voltage(event: Event) -> bool:
    return isinstance(event.body, Voltage) and event.body.volts is not None


class ForkedKit(Kit):
    """A kit whose daemon is forked."""

    _forked: Forked | None = None

    def start(self) -> None:
        """Start the daemon and wait until it has a voltage: a test may arm sooner than that."""
        self._forked = Forked(self._main)
        assert self._forked.output.readline().startswith("ready")
        with self.client() as watcher:
            until(lambda: any(_is_voltage(event) for event in watcher.events), "there is a voltage")

    def _main(self) -> int:
        os.environ["FIELDKIT_RUN"] = str(self.socket.parent)
        return hw.daemon.main(["--state", str(self.state), "--socket", str(self.socket)])

    def stop(self, number: int = signal.SIGTERM) -> int:
        forked, self._forked = self._forked, None
        if forked is None:
            return 0
        forked.signal(number)
        return forked.wait()

    def kill(self) -> None:
        """End the daemon without waiting for that."""
        if self._forked is not None:
            self._forked.kill()


@pytest.fixture(scope="session")
def car(can_bus: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Car]:
    """The simulated car; its ECUs are on can1."""
    car = ForkedCar(tmp_path_factory.mktemp("car"), "--can-interface", "can1")
    yield car
    car.close()


class Bridge:
    """The USB-to-I2C bridge with the sensor behind it, plugged in.

    Attributes:
        bus: its `/dev/i2c-N`.
    """

    plugged_in = True

    def __init__(self, car: Car) -> None:
        registers = car.info["sensor"].partition("://")[2]
        self._process = Forked(lambda: mcp2221.main(registers))
        self.bus = self._process.output.readline().strip()
        assert self.bus, "the kernel made no I2C bus of the bridge"

    @property
    def sensor(self) -> str:
        """URI of the sensor."""
        return f"ina219://{self.bus}/0x40"

    def slow(self, on: bool) -> None:
        """Let each transfer take far longer than the kit bears, or not."""
        self._process.signal(signal.SIGUSR1 if on else signal.SIGUSR2)

    def unplug(self) -> None:
        """Pull the plug.

        The driver waits 4 s for each answer of a device that is gone, and its bus ends when nobody
        has it open any more; only then the killed process ends.
        """
        self.plugged_in = False
        self._process.kill()

    def wait_until_gone(self) -> None:
        """Wait until the kernel has put all away. Whoever used the bus has closed it."""
        self._process.wait()
        until(lambda: not Path(self.bus).exists(), f"{self.bus} is gone")


@pytest.fixture
def bridge(car: Car, pins: Pins) -> Iterator[Bridge]:
    """A bridge, plugged in after the pins have taken gpiochip0."""
    car.do("sensor", fault="none")
    car.do("battery", volts=13.2)
    bridge = Bridge(car)
    yield bridge
    if bridge.plugged_in:
        bridge.unplug()
        bridge.wait_until_gone()


LINE, BUTTON, LAMP, BUZZER = 17, 5, 22, 23


@pytest.fixture
def kit(short_tmp: Path, bridge: Bridge, pins: Pins) -> Iterator[Kit]:
    """fieldkit-hw on the bench's sensor and pins, started."""
    kit = ForkedKit(short_tmp / "kit", bridge.sensor, SLOW_WINDOW)
    with (kit.state / "kit.toml").open("a") as config:
        config.write(
            f'\n[outputs]\nwrite_enable = "gpio{LINE}"\narm_button = "gpio{BUTTON}"\n'
            f'lamp = "gpio{LAMP}"\nbuzzer = "gpio{BUZZER}"\n'
        )
    kit.start()
    # Taking the line sets its pull-up; only then can the button, to ground, be held down.
    pins.pull(BUTTON, up=False)
    yield kit
    if bridge.plugged_in:
        kit.stop(signal.SIGKILL)
    else:
        # It ends when the driver has waited for the device that is gone.
        kit.kill()


def socketcan_plan(kit: Kit, car: Car, payload: bytes) -> WritePlan:
    """A whole flash of the engine from can0, reads through the kernel's ISO-TP."""
    keys = car.link("can").partition("?")[2]
    plan = kit.plan(f"can://socketcan/can0?{keys}&kernel_reads=1", payload, timing=SLOW)
    return msgspec.structs.replace(plan, steps=[_in_small_blocks(step) for step in plan.steps])


def _in_small_blocks(step: Step) -> Step:
    if isinstance(step, Download):
        # Several of them in a small payload.
        return msgspec.structs.replace(step, max_block_length=BLOCK_BYTES + 2)
    return step
