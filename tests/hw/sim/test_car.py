"""The car as a process: what it prints, what its control socket does, what its log says."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import can
import pytest

from hw.sim.fleet import FLEET
from hw.sim.registers import RegisterFile
from tests.hw.sim.bench import Wire, xor_key
from tests.kit import ROOT, Car


@pytest.fixture
def car(short_tmp: Path) -> Iterator[Car]:
    car = Car(short_tmp / "car")
    yield car
    car.close()


def _raw(path: str, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(path)
        control.sendall(line + b"\n")
        with control.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
    return answer


@contextlib.contextmanager
def _sensor(car: Car) -> Iterator[RegisterFile]:
    registers = RegisterFile(car.info["sensor"].removeprefix("ina219+sim://"))
    try:
        yield registers
    finally:
        registers.close()


def _doip(car: Car) -> Wire:
    return Wire(int(car.info["discovery"].rsplit(":", 1)[1]))


def _ask(car: Car, *requests: str) -> list[str]:
    """Send requests to the engine over DoIP, one after the other; its answers."""
    with _doip(car) as wire:
        assert wire.activate() == 0x10
        return [wire.ask(bytes.fromhex(request))[-1][1][4:].hex() for request in requests]


def _ask_over_can(car: Car, *requests: str) -> list[str]:
    """Send short requests to the engine over CAN, one after the other; its answers."""
    port = int(car.link("can").split(":")[2].split("/")[0])
    bus = can.Bus(interface="socketcand", host="127.0.0.1", port=port, channel="can0")
    answers = []
    try:
        for request in requests:
            data = bytes([len(request) // 2]) + bytes.fromhex(request)
            bus.send(can.Message(arbitration_id=0x7E0, data=data, is_extended_id=False))
            answer = bus.recv(10)
            assert answer is not None
            answers.append(answer.data[1 : 1 + answer.data[0]].hex())
    finally:
        bus.shutdown()
    return answers


# Start and end --------------------------------------------------------------------------------


def test_the_car_tells_where_everything_is(car: Car, short_tmp: Path) -> None:
    assert set(car.info["ecus"]) == {each.name for each in FLEET}
    for each in FLEET:
        assert f"target=0x{each.logical_address:04X}&source=0x0E00" in car.link("doip", each.name)
        assert each.can is not None
        assert f"/can0?tx=0x{each.can.tx:03X}&rx=0x{each.can.rx:03X}" in car.link("can", each.name)
        assert ("&ext=1" in car.link("can", each.name)) == each.can.extended
    for name in ("control", "log"):
        assert Path(car.info[name]).parent == (short_tmp / "car").resolve()
    sensor = Path(car.info["sensor"].removeprefix("ina219+sim://"))
    assert sensor.is_absolute()
    assert sensor.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_car_without_complaint(short_tmp: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "hw.sim", "--folder", str(short_tmp / "car")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        info = json.loads(process.stdout.readline())
        assert _raw(info["control"], b'{"do": "state", "ecu": "engine"}')["ok"]
        process.send_signal(number)
        _, complaint = process.communicate(timeout=20)
    assert process.returncode == 0
    assert complaint == b""


def test_memory_comes_from_the_seed(short_tmp: Path) -> None:
    found = []
    for index, seed in enumerate(("7", "7", "8")):
        car = Car(short_tmp / str(index), "--seed", seed)
        found.append(car.memory(0x8000, 64))
        car.close()
    assert found[0] == found[1] != found[2]


def test_every_application_is_valid_at_the_start(car: Car) -> None:
    for each in FLEET:
        state = car.do("state", ecu=each.name)
        assert state["app_valid"]
        assert not state["bricked"]
        assert state["session"] == 1


# Control --------------------------------------------------------------------------------------


def test_the_sensor_and_the_ecus_share_one_voltage(car: Car) -> None:
    with _sensor(car) as sensor:
        assert sensor.volts >= 12.5
        told = car.do("battery", volts=12.2)["volts"]
        assert sensor.volts == told < 12.2
        car.do("sag", volts=11.5, for_s=600)
        assert sensor.volts == 11.5
        car.do("battery", volts=12.8)
        assert sensor.volts > 12.5
    car.do("sag", volts=9.5, for_s=600)
    with _doip(car) as wire:
        wire.activate()

        def ask(request: bytes) -> bytes:
            return wire.ask(request)[1][1][4:]

        ask(b"\x10\x02")
        seed = ask(b"\x27\x11")[2:]
        assert ask(b"\x27\x12" + xor_key(seed)) == b"\x67\x12"
        assert ask(bytes.fromhex("3101ff00440000800000002000")) == b"\x7f\x31\x93"


def test_a_sag_ends_by_itself(car: Car) -> None:
    with _sensor(car) as sensor:
        car.do("sag", volts=11.5, for_s=0.01)
        # The control socket is served by the loop that also ends the sag.
        for _ in range(10_000):
            if sensor.volts > 12.5:
                break
            car.do("state", ecu="engine")
        assert sensor.volts > 12.5


def test_a_trigger_fires_at_the_counted_request_and_before_it_is_carried_out(car: Car) -> None:
    car.do(
        "when", ecu="engine", service=0x3E, count=2, then={"do": "sag", "volts": 5, "for_s": 600}
    )
    assert _ask(car, "3e00", "22f186") == ["7e00", "62f18601"]
    with _sensor(car) as sensor, _doip(car) as wire:
        assert sensor.volts > 12
        wire.activate()
        wire.say(0x8001, bytes.fromhex("0e0000103e00"))
        assert wire.hear()[0] == 0x8002
        # The same loop serves this after the engine dealt with its request.
        car.do("state", ecu="engine")
        assert sensor.volts == 5
    entries = [each for each in car.do("log")["entries"] if each["request"] == "3e00"]
    assert [each["response"] for each in entries] == ["7e00", ""]


def test_a_sensor_fault_changes_nothing_in_the_car(car: Car) -> None:
    with _sensor(car) as sensor:
        before = sensor.volts
        for fault in ("nak", "frozen", "overflow", "reset", "offset", "none"):
            car.do("sensor", fault=fault, volts=1.0)
            assert sensor.volts == before


def test_a_fault_of_an_ecu_is_seen_on_its_link(car: Car) -> None:
    car.do("fault", ecu="engine", fault="nrc", service=0x22, nrc=0x22)
    assert _ask(car, "22f186", "22f186") == ["7f2222", "62f18601"]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"1",
        b"{}",
        b'{"do": "fly"}',
        b'{"do": "sag", "volts": 11}',
        b'{"do": "battery", "volts": "full"}',
        b'{"do": "state", "ecu": "toaster"}',
        b'{"do": "sensor", "fault": "bored"}',
        b'{"do": "fault", "ecu": "engine", "fault": "bored", "service": 1}',
        b'{"do": "memory", "ecu": "engine", "address": 0, "length": 4}',
    ],
)
def test_a_wrong_command_is_an_error_and_the_car_goes_on(car: Car, line: bytes) -> None:
    answer = _raw(car.info["control"], line)
    assert answer["ok"] is False
    assert answer["error"]
    assert car.do("state", ecu="engine")["app_valid"]


# Log ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_the_log_says_what_was_received_and_what_was_answered(car: Car, kind: str) -> None:
    ask = _ask if kind == "doip" else _ask_over_can
    assert ask(car, "22f186", "3e00") == ["62f18601", "7e00"]
    entries = car.do("log")["entries"]
    shown = [(each["n"], each["ecu"], each["link"], each["request"]) for each in entries]
    assert shown == [(1, "engine", kind, "22f186"), (2, "engine", kind, "3e00")]
    assert [each["response"] for each in entries] == ["62f18601", "7e00"]
    assert car.do("log", after=1)["entries"] == entries[1:]
    lines = Path(car.info["log"]).read_text().splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_a_long_request_is_logged_by_head_length_and_hash(car: Car) -> None:
    request = b"\x2e\xf1\x5a" + os.urandom(2000)
    _ask(car, request.hex())
    (entry,) = car.do("log")["entries"]
    assert entry["request"] == request[:16].hex()
    assert entry["request_length"] == len(request)
    assert entry["request_sha256"] == hashlib.sha256(request).hexdigest()
