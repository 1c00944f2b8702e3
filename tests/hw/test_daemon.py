"""`fieldkit-hw` as a process: start, stop, sensor, files, reading the simulated car."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw.client import HwClient, RemoteError
from hw.errors import FieldKitError, RefusedError, UnavailableError
from hw.messages import (
    PROTOCOL,
    Arm,
    Error,
    Evidence,
    GetStatus,
    Hello,
    ReadMemory,
    Voltage,
)
from hw.sim.fleet import ENGINE
from hw.sim.registers import Fault, RegisterFile
from tests.hw.test_server import Raw
from tests.kit import ROOT, TIMING, Car, Kit

LIMIT_S = 20.0
NOTHING = Evidence(
    profile_file="", backup=None, checks_document=None, checks_signature=None, acknowledgment=None
)
KEY = {"key": "a5c3f00d"}
GOOD_TOML = '[voltage]\nsensor = "ina219:///dev/i2c-1/0x40"\n[media]\na="/a"\nb="/b"\n'


@pytest.fixture
def chip(short_tmp: Path) -> Iterator[RegisterFile]:
    registers = RegisterFile(short_tmp / "registers", create=True)
    registers.volts = 12.6
    yield registers
    registers.close()


@pytest.fixture
def kit(short_tmp: Path, chip: RegisterFile) -> Iterator[Kit]:
    """A daemon with a sensor and no car."""
    kit = Kit(short_tmp / "kit", f"ina219+sim://{short_tmp / 'registers'}")
    kit.start()
    yield kit
    kit.stop()


def run_daemon(
    state: Path, path: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Start a daemon that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "hw", "--state", str(state), "--socket", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )


# Start and stop -----------------------------------------------------------------------------------


def test_it_says_ready_serves_and_ends_cleanly(kit: Kit) -> None:
    with kit.client() as watcher:
        status = watcher.client.status()
        assert (status.gate, status.run, status.write_enable) == ("CLOSED", "", False)
        assert status.simulated == ["voltage sensor", "media"]
    assert kit.process is not None
    assert kit.process.stdout is not None
    stdout = kit.process.stdout
    kit.process.send_signal(signal.SIGTERM)
    assert kit.process.wait(timeout=LIMIT_S) == 0
    assert stdout.read() == b"", "one line and nothing more"
    assert not kit.socket.exists()


def test_a_client_of_a_stopped_daemon_is_told_at_once(kit: Kit) -> None:
    with kit.client() as watcher:
        kit.stop()
        with pytest.raises(UnavailableError, match=r"hardware process"):
            watcher.client.status()


def test_a_second_daemon_is_refused_and_the_first_goes_on(kit: Kit, short_tmp: Path) -> None:
    for path in (kit.socket, short_tmp / "other.sock"):
        second = run_daemon(kit.state, path)
        assert second.returncode == 69
        assert second.stdout == ""
        what, next_step = second.stderr.splitlines()
        assert "running already" in what
        assert next_step == "Stop it first."
    assert not (short_tmp / "other.sock").exists()
    with kit.client() as watcher:
        watcher.client.status()


def test_after_a_kill_it_starts_again(kit: Kit) -> None:
    kit.stop(signal.SIGKILL)
    assert kit.socket.exists()
    kit.start()
    with kit.client() as watcher:
        assert watcher.client.status().gate == "CLOSED"


@pytest.mark.parametrize(
    ("toml", "word"),
    [
        (None, "fieldkit init"),
        ("[voltage\n", "kit.toml"),
        ('[voltage]\nsensor = "ads1115:///dev/i2c-1"\n[media]\na="/a"\nb="/b"\n', "ads1115"),
        (GOOD_TOML + '[outputs]\nwrite_enable = "pin 17"\n', "pin 17"),
    ],
)
def test_a_wrong_configuration_is_told_without_a_trace(
    short_tmp: Path, toml: str | None, word: str
) -> None:
    if toml is not None:
        (short_tmp / "kit.toml").write_text(toml)
    done = run_daemon(short_tmp, short_tmp / "hw.sock")
    assert done.returncode == 65
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ""
    assert not (short_tmp / "hw.sock").exists()


def test_systemd_is_told_while_the_sampler_lives(kit: Kit, short_tmp: Path) -> None:
    kit.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(LIMIT_S)
        systemd.bind(str(short_tmp / "notify"))
        os.environ["NOTIFY_SOCKET"] = str(short_tmp / "notify")
        try:
            kit.start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        kit.stop()
        told = systemd.recv(100)
        while told == b"WATCHDOG=1":
            told = systemd.recv(100)
        assert told == b"STOPPING=1"


def test_it_stays_small(kit: Kit) -> None:
    with kit.client() as watcher:
        watcher.wait_for(Voltage, volts=pytest.approx(12.6, abs=0.005))
    assert kit.process is not None
    status = Path(f"/proc/{kit.process.pid}/status").read_text()
    resident_kib = int(status.split("VmRSS:")[1].split()[0])
    assert resident_kib < 60 * 1024


# Voltage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nak", "does not answer"), ("frozen", "frozen"), ("overflow", "overflow")],
)
def test_a_sensor_fault_is_no_voltage_for_every_client(
    kit: Kit, chip: RegisterFile, fault: Fault, reason: str
) -> None:
    with kit.client() as watcher:
        watcher.wait_for(Voltage, volts=pytest.approx(12.6, abs=0.005))
        chip.set_fault(fault)
        told = watcher.wait_for(Voltage, volts=None)
        while reason not in told.reason:
            watcher.events.clear()
            told = watcher.wait_for(Voltage, volts=None)
        assert reason in watcher.client.status().voltage_reason
        chip.set_fault("none")
        watcher.events.clear()
        watcher.wait_for(Voltage, volts=pytest.approx(12.6, abs=0.005))


def test_without_a_sensor_it_runs_and_finds_it_later(short_tmp: Path) -> None:
    kit = Kit(short_tmp / "kit", f"ina219+sim://{short_tmp / 'later'}")
    kit.start()
    with kit.client() as watcher:
        told = watcher.wait_for(Voltage, volts=None)
        while "does not answer" not in told.reason:
            watcher.events.clear()
            told = watcher.wait_for(Voltage, volts=None)
        chip = RegisterFile(short_tmp / "later", create=True)
        chip.volts = 13.2
        watcher.wait_for(Voltage, volts=pytest.approx(13.2, abs=0.005))
        chip.close()
    kit.stop()


# Files --------------------------------------------------------------------------------------------


def greeted(kit: Kit) -> Raw:
    raw = Raw(kit.socket)
    raw.ask(Hello(id=1, protocol=PROTOCOL, client="test"))
    return raw


@pytest.mark.parametrize("count", [0, 1])
def test_arming_without_both_files_is_an_error(kit: Kit, count: int) -> None:
    file = os.memfd_create("plan")
    with greeted(kit) as raw:
        error = raw.ask(Arm(id=2, evidence=NOTHING), [file] * count)
        assert isinstance(error, Error)
        assert f"brings {count} files" in error.what
    os.close(file)


def test_a_plan_that_could_still_change_is_refused(kit: Kit) -> None:
    file = os.memfd_create("plan", os.MFD_ALLOW_SEALING)
    with greeted(kit) as raw:
        error = raw.ask(Arm(id=2, evidence=NOTHING), [file, file])
        assert isinstance(error, Error)
        assert (error.error, error.exit_status) == ("bad_input", 65)
        assert "not sealed" in error.what
    os.close(file)


def test_a_request_that_takes_no_file_gets_none(kit: Kit) -> None:
    file = os.memfd_create("x")
    with greeted(kit) as raw:
        error = raw.ask(GetStatus(id=2), [file])
        assert isinstance(error, Error)
        assert raw.ask(GetStatus(id=3)).id == 3
    os.close(file)


def test_clients_leave_no_file_behind(kit: Kit) -> None:
    assert kit.process is not None
    table = Path(f"/proc/{kit.process.pid}/fd")
    file = os.memfd_create("plan", os.MFD_ALLOW_SEALING)
    with kit.client() as watcher:  # The sampler opens the sensor's file soon after the start.
        watcher.wait_for(Voltage, volts=pytest.approx(12.6, abs=0.005))
    with greeted(kit) as watching:
        before = len(os.listdir(table))
        for _ in range(30):
            with greeted(kit) as raw:
                raw.ask(Arm(id=2, evidence=NOTHING), [file, file])
                raw.send(Arm(id=3, evidence=NOTHING), [file, file])
        # Served after all of them were seen to be gone.
        deadline = time.monotonic() + LIMIT_S
        while len(os.listdir(table)) != before:
            assert time.monotonic() < deadline, sorted(os.readlink(f) for f in table.iterdir())
            watching.ask(GetStatus(id=4))
    os.close(file)


# The simulated car --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Car, Kit]]:
    """A car and a daemon for all tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONUNBUFFERED", "1")
        folder = Path(tmp_path_factory.mktemp("d"))
        car = Car(folder / "c")
        kit = Kit(folder / "k", car.info["sensor"])
        kit.start()
    yield car, kit
    kit.stop()
    car.close()


@pytest.fixture
def client(driven: tuple[Car, Kit]) -> Iterator[HwClient]:
    with driven[1].client() as watcher:
        yield watcher.client


VIN = next(did.value for did in ENGINE.dids if did.did == 0xF190)


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_identification_is_read(driven: tuple[Car, Kit], client: HwClient, kind: str) -> None:
    answer = client.read(driven[0].link(kind), b"\x22\xf1\x90", TIMING)
    assert answer == b"\x62\xf1\x90" + VIN


@pytest.mark.parametrize("kind", ["can", "doip"])
@pytest.mark.parametrize("method", ["read_memory_by_address", "request_upload"])
def test_a_memory_image_is_read_after_unlocking(
    driven: tuple[Car, Kit], client: HwClient, kind: str, method: str
) -> None:
    car, _ = driven
    link = car.link(kind)
    client.read(link, b"\x10\x03", TIMING)
    client.unlock_for_reading(link, 0x01, "constant-xor", KEY, TIMING)
    asked = ReadMemory(
        id=0,
        link=link,
        address=0x00F00000,
        length=0x1000,
        address_width=4,
        length_width=4,
        block_length=0x400,
        method=method,  # type: ignore[arg-type]  # one of two words
        timing=TIMING,
    )
    assert client.read_memory(asked) == car.memory(0x00F00000, 0x1000)


def test_a_refusal_of_the_ecu_carries_its_code(driven: tuple[Car, Kit], client: HwClient) -> None:
    link = driven[0].link("can", "gearbox")
    client.read(link, b"\x10\x03", TIMING)
    with pytest.raises(RemoteError) as caught:
        client.read(link, bytes.fromhex("2344 00008000 00000010"), TIMING)
    assert (caught.value.code, caught.value.nrc) == ("negative_response", 0x33)
    assert (caught.value.exit_status, caught.value.gate) == (69, "")


@pytest.mark.parametrize(
    "request_hex", ["2e 0600 00000000", "27 01", "11 01", "10 02", "14 ffffff"]
)
def test_a_write_without_a_plan_reaches_no_ecu(
    driven: tuple[Car, Kit], client: HwClient, request_hex: str
) -> None:
    car, _ = driven
    before = len(car.log("body"))
    with pytest.raises(RefusedError) as caught:
        client.read(car.link("can", "body"), bytes.fromhex(request_hex), TIMING)
    assert (caught.value.gate, caught.value.exit_status) == ("PERMIT", 77)
    assert len(car.log("body")) == before


def test_an_announced_car_is_found(driven: tuple[Car, Kit], client: HwClient) -> None:
    found = client.discover(driven[0].info["discovery"])
    assert VIN.decode() in {ecu.vin for ecu in found}


def test_a_link_to_nowhere_is_told(client: HwClient, free_port: int) -> None:
    link = f"doip://127.0.0.1:{free_port}?target=0x0010&source=0x0E00"
    with pytest.raises(FieldKitError) as caught:
        client.read(link, b"\x22\xf1\x90", TIMING)
    assert caught.value.exit_status == 69


def test_a_session_outlives_the_ecus_time_out_between_requests(
    driven: tuple[Car, Kit], client: HwClient
) -> None:
    car, _ = driven
    link = car.link("can", "cluster")
    client.read(link, b"\x10\x03", TIMING)
    before = car.log("cluster").count("3e80")
    deadline = time.monotonic() + LIMIT_S
    while car.log("cluster").count("3e80") < before + 3:  # 2 s apart: more than S3 of 5 s
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.read(link, b"\x22\xf1\x86", TIMING) == b"\x62\xf1\x86\x03"
