"""Real SocketCAN: two controllers with the kernel's sja1000 driver on one bus."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hw.links import open_link
from hw.links.base import LinkLost, NoAnswer
from hw.links.can import CanLink
from hw.links.errorframes import BUS_OFF, CONTROLLER, COUNTERS
from hw.plan import Timing
from tests.bench.conftest import NETWORK, SLOW, interface, is_up, run, until
from tests.hw.links.support import RX, TX, ReadGate, WriteGate
from tests.kit import Car

VIN = bytes.fromhex("22f190")
TESTER_PRESENT = bytes.fromhex("3e00")
BRISK = Timing(p2_s=1.0, p2_star_s=1.0, pending_limit_s=2.0, busy_limit_s=1.0, s3_s=5.0)
ERROR = 0x2000_0000


def assert_configured(name: str) -> None:
    told = interface(name)
    assert told["txqlen"] == 1000
    data = told["linkinfo"]["info_data"]
    assert data["bittiming"]["bitrate"] == 500_000
    assert data["restart_ms"] == 100
    assert data["state"] == "ERROR-ACTIVE"


def test_networkd_brings_both_controllers_up_by_the_shipped_files(can_bus: None) -> None:
    for name in ("can0", "can1"):
        assert_configured(name)


def test_the_ip_script_does_the_same(can_bus: None) -> None:
    run("ip", "link", "set", "can0", "down")
    run("ip", "link", "set", "can0", "txqueuelen", "10", "type", "can", "restart-ms", "0")
    run(str(NETWORK / "can-up"), "can0")
    until(lambda: is_up("can0"), "can0 is up")
    assert_configured("can0")


@pytest.mark.parametrize("kernel", [0, 1])
def test_a_long_read_through_user_space_and_through_the_kernel(car: Car, kernel: int) -> None:
    keys = car.link("can").partition("?")[2]
    with open_link(f"can://socketcan/can0?{keys}&kernel_reads={kernel}", ReadGate(), SLOW) as link:
        assert isinstance(link, CanLink)
        answers = [link.request(VIN) for _ in range(3)]
        assert (link._kernel is not None and link._kernel.is_open) == bool(kernel)
    vin = car.do("state", ecu="engine")["dids"]["0xF190"]
    assert answers == [bytes.fromhex(f"62f190{vin}")] * 3


@contextmanager
def controller_that_reports(name: str, classes: int, sending: int) -> Iterator[None]:
    """Says what a controller would of the next frame of 0x7E0: the emulated bus knows no errors,
    so that the error frame comes from another socket. From there on it goes a real one's way.

    Args:
        classes: of linux/can/error.h; the controller is error-passive in sending.
        sending: value of the counter of transmission errors.
    """
    told = struct.pack("=IB3x8B", ERROR | classes, 8, 0, 0x20, 0, 0, 0, 0, sending, 2)
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as sock:
        sock.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", TX, 0x7FF))
        sock.bind((name,))

        def report() -> None:
            sock.recv(16)
            sock.send(told)

        thread = threading.Thread(target=report)
        thread.start()
        yield
        thread.join()


@pytest.fixture(scope="module")
def vcan() -> str:
    run("ip", "link", "add", "vcan0", "type", "vcan")
    run("ip", "link", "set", "vcan0", "up")
    return "vcan0"


@pytest.mark.parametrize("kernel", [0, 1])
def test_error_frames_with_counters_and_bus_off_are_told(vcan: str, kernel: int) -> None:
    uri = f"can://socketcan/{vcan}?tx=0x{TX:X}&rx=0x{RX:X}&kernel_reads={kernel}"
    with open_link(uri, ReadGate(), BRISK) as link:
        with (
            controller_that_reports(vcan, CONTROLLER | COUNTERS, 140),
            pytest.raises(NoAnswer, match=r"error-passive.*140 sending, 2 receiving"),
        ):
            link.request(VIN)
        with (
            controller_that_reports(vcan, BUS_OFF | COUNTERS, 255),
            pytest.raises(LinkLost, match=r"bus-off.*255 sending") as lost,
        ):
            link.request(TESTER_PRESENT)
        assert "CAN-H" in lost.value.next_step
        with pytest.raises(LinkLost, match="bus-off"):
            link.request(TESTER_PRESENT)


def test_an_interface_that_goes_down_is_named_and_comes_back(car: Car) -> None:
    keys = car.link("can").partition("?")[2]
    uri = f"can://socketcan/can0?{keys}"
    with open_link(uri, WriteGate(), SLOW) as link:
        assert link.request(VIN)
        run("ip", "link", "set", "can0", "down")
        with pytest.raises(LinkLost, match="can0 is down") as lost:
            link.request(VIN)
        assert "ip link set can0 up" in lost.value.next_step
    run("ip", "link", "set", "can0", "up")
    until(lambda: is_up("can0"), "can0 is up")
    with open_link(uri, ReadGate(), SLOW) as link:
        assert link.request(VIN)
