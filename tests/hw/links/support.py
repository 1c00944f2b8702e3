"""What the link tests share: gates with a scripted mind, and ECUs on python-can's virtual bus."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import can
import isotp

from hw.gate.errors import NotPlanned, WriteHeld
from hw.links import FrameCheck, open_link
from hw.links.can import CanLink
from hw.plan import Timing

TIMING = Timing(p2_s=0.5, p2_star_s=1.0, pending_limit_s=3.0, busy_limit_s=2.0)
SHORT = Timing(p2_s=0.05, p2_star_s=0.3, pending_limit_s=1.0, busy_limit_s=0.5)

TX, RX = 0x7E0, 0x7E8
_channel = itertools.count()


def held() -> WriteHeld:
    return WriteHeld("The supply is below 12.0 V.", "Connect a charger.")


class ReadGate:
    """Admits everything as a read and remembers it."""

    def __init__(self) -> None:
        self.admitted: list[bytes] = []

    def admit(self, payload: bytes) -> FrameCheck | None:
        self.admitted.append(payload)
        return None


class ClosedGate:
    def admit(self, payload: bytes) -> FrameCheck | None:
        raise NotPlanned("There is no permit.", "Make a plan first.")


class WriteGate:
    """Admits everything as a write; the frame check says no from the `refuse_at`-th frame on."""

    def __init__(self, refuse_at: int | None = None) -> None:
        self.refuse_at = refuse_at
        self.admitted: list[bytes] = []
        self.asked = 0

    def admit(self, payload: bytes) -> FrameCheck | None:
        self.admitted.append(payload)
        self.asked = 0
        return self._check

    def _check(self) -> None:
        if self.refuse_at is not None and self.asked >= self.refuse_at:
            raise held()
        self.asked += 1


def new_channel() -> str:
    """A virtual bus that no other test uses."""
    return f"test{next(_channel)}"


def virtual_uri(channel: str, more: str = "") -> str:
    return f"can://virtual/{channel}?tx=0x{TX:X}&rx=0x{RX:X}{more}"


def open_can(uri: str, gate: ReadGate | WriteGate | ClosedGate, timing: Timing = TIMING) -> CanLink:
    link = open_link(uri, gate, timing)
    assert isinstance(link, CanLink)
    return link


class Listener:
    """A second node on the bus that writes down every frame."""

    def __init__(self, channel: str, *, fd: bool = False) -> None:
        protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        self.bus = can.Bus(interface="virtual", channel=channel, protocol=protocol)

    def frames(self, identifier: int = TX) -> list[bytes]:
        """All frames with this identifier since the last call."""
        found = []
        while (frame := self.bus.recv(0)) is not None:
            if frame.arbitration_id == identifier:
                found.append(bytes(frame.data))
        return found


@contextmanager
def listener(channel: str, *, fd: bool = False) -> Iterator[Listener]:
    listening = Listener(channel, fd=fd)
    try:
        yield listening
    finally:
        listening.bus.shutdown()


@contextmanager
def running(body: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `body(stop)` beside the test; what it raises fails the test."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            body(stop)
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@contextmanager
def isotp_ecu(
    channel: str, answer: Callable[[bytes], list[bytes]], **options: object
) -> Iterator[list[bytes]]:
    """An ECU with can-isotp's own layer. Gives the list of whole requests that it received."""
    fd = bool(options.get("can_fd", False))
    extended = bool(options.pop("extended", False))
    tx = options.pop("tx", TX)
    rx = options.pop("rx", RX)
    assert isinstance(tx, int)
    assert isinstance(rx, int)
    mode = isotp.AddressingMode.Normal_29bits if extended else isotp.AddressingMode.Normal_11bits
    protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
    bus = can.Bus(interface="virtual", channel=channel, protocol=protocol)
    stack = isotp.CanStack(
        bus,
        address=isotp.Address(mode, txid=rx, rxid=tx),
        params={"blocksize": 0, "max_frame_size": 1 << 20, **options},
    )
    received: list[bytes] = []

    def serve(stop: threading.Event) -> None:
        while not stop.is_set():
            stack.process(rx_timeout=0.002)
            while (request := stack.recv()) is not None:
                received.append(bytes(request))
                for message in answer(bytes(request)):
                    stack.send(message)

    try:
        with running(serve):
            yield received
    finally:
        bus.shutdown()


@contextmanager
def raw_ecu(channel: str, react: Callable[[bytes, Callable[[str], None]], None]) -> Iterator[None]:
    """An ECU that is a function from frame to frames: `react(frame, send)`, frames in hex."""
    bus = can.Bus(interface="virtual", channel=channel)

    def send(frame: str) -> None:
        bus.send(can.Message(arbitration_id=RX, data=bytes.fromhex(frame), is_extended_id=False))

    def serve(stop: threading.Event) -> None:
        while not stop.is_set():
            frame = bus.recv(0.01)
            if frame is not None and frame.arbitration_id == TX:
                react(bytes(frame.data), send)

    try:
        with running(serve):
            yield
    finally:
        bus.shutdown()
