"""Diagnostics on CAN: ISO 15765-2 in user space over a python-can bus, so that the gate sees every
frame.

can-isotp's state machine is driven inline by the thread that calls `request`: no second thread, no
polling. It waits in the bus' own receive call. The gate is asked in the moment before a frame is
handed to the bus; what it raises ends the message there. The ECU then waits for the next
consecutive frame until its own N_Cr time-out (ISO 15765-2:2016, 9.8) or until the next message
begins, and never acts on what it has got.

What "handed to the bus" means depends on the medium. socketcan: the socket's send buffer is made as
small as the kernel allows, so that about three frames wait in the kernel and not a whole message.
socketcand, slcan and udp_multicast buffer outside our reach: with `bitrate` in the URI the link
itself keeps no more than 1 ms of frames ahead of such a bus; without it, frames that were handed
over before a hold still go out.

Kernel ISO-TP (`kernel_reads=1`) is used for requests that the gate admits as reads and never for
writes, because the kernel asks nobody before a frame. Where the kernel has no ISO-TP the link is
refused at opening: it never falls back by itself. While the kernel's socket is open the user-space
layer is silent, since both would send flow control.

Throughput is bounded by the work of can-isotp and python-can per frame, under 20 µs on a desktop
core; a full 500 kbit/s bus leaves 220 µs. python-can's `virtual` bus deep-copies every frame;
`udp_multicast` needs msgpack and loses frames at full rate, which ends in a time-out.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import time
from collections.abc import Callable

import can
import isotp

from hw.clock import now
from hw.links.base import FrameCheck, Link, LinkError, LinkGate, LinkLost, NoAnswer
from hw.links.errorframes import CHECK_WIRING, explain_os_error, read_error_frame
from hw.links.frames import Pace, frame_bits
from hw.links.socketcand import SocketcandBus
from hw.links.uri import CanUri
from hw.plan import Timing

N_BS_S = 1.0
"""Longest wait for a flow control frame (ISO 15765-2:2016, table 16)."""

N_CR_S = 1.0
"""Longest wait for the next consecutive frame (same table)."""

WAIT_FRAMES_MAX = 50
"""Wait frames in a row to bear from the ECU before a message is given up."""

MESSAGE_MAX_BYTES = 1 << 20
"""Longest message either way; longer than any ECU's, short enough for a small computer."""

RECEPTION_LIMIT_S = 120.0
"""Longest time one message may take to arrive, however slowly its frames drip."""

SEND_LIMIT_S = 1.0
"""Longest wait until the bus takes a frame (N_As, ISO 15765-2:2016, table 16)."""

# Frame types: the upper half of the first byte (ISO 15765-2:2016, 9.4).
_SINGLE, _FIRST, _CONSECUTIVE, _FLOW_CONTROL = range(4)
_STMIN_LONGEST = 0x7F
_FOREIGN_FRAMES_AT_ONCE = 4096
_KERNEL_RECEIVE_BYTES = 1 << 16
_TX_FAULTS = (
    isotp.FlowControlTimeoutError,
    isotp.OverflowError,
    isotp.MaximumWaitFrameReachedError,
)

_NO_MEDIUM = "Check that the adapter is plugged in and the CAN interface is up, then try again."

# can-isotp warns about every odd frame; what matters of it becomes an error with a next step.
_ISOTP_LOG = "hw.links.can.isotp"
logging.getLogger(_ISOTP_LOG).addHandler(logging.NullHandler())


class CanLink(Link):
    """A conversation with one ECU by ISO-TP (normal addressing, 11 or 29 bit identifiers).

    Args:
        uri: the parsed link.
        gate, timing: see `Link`.

    Raises:
        LinkError: the interface is not there, or `kernel_reads=1` and the kernel has no ISO-TP.
    """

    max_request_bytes = MESSAGE_MAX_BYTES

    def __init__(self, uri: CanUri, gate: LinkGate, timing: Timing) -> None:
        super().__init__(uri.text, gate, timing)
        self._can = uri
        self._check: FrameCheck | None = None
        self._sending = False
        self._read_until = 0.0
        self._faults: list[Exception] = []
        self._lost = self._after_loss = ""
        self._stmin_s = 0.0
        self._frame_s = frame_bits(uri.tx, bytes(8), extended=uri.extended) / (
            uri.bitrate or 500_000  # ISO 15765-4's rate, where the URI does not say
        )
        self._pace = Pace(uri.bitrate) if uri.bitrate and _buffers(uri) else None
        self._kernel = KernelReads(uri) if uri.kernel_reads else None
        self._layer = self._make_layer()
        self._bus = _open_bus(uri)
        self._wait_writable = _writable_waiter(self._bus)

    def close(self) -> None:
        """Let go of the bus."""
        if self._kernel is not None:
            self._kernel.close()
        self._bus.shutdown()
        self._lost = self._lost or "it was closed"

    def _make_layer(self) -> isotp.TransportLayerLogic:
        mode = (
            isotp.AddressingMode.Normal_29bits
            if self._can.extended
            else isotp.AddressingMode.Normal_11bits
        )
        return isotp.TransportLayerLogic(
            rxfn=self._read_frame,
            txfn=self._write_frame,
            address=isotp.Address(mode, txid=self._can.tx, rxid=self._can.rx),
            error_handler=self._faults.append,
            params={
                "stmin": self._can.stmin,
                "blocksize": self._can.block_size,
                "tx_padding": self._can.padding,
                "tx_data_length": self._can.tx_dl,
                "can_fd": self._can.fd,
                "bitrate_switch": self._can.data_bitrate > 0,
                "rx_flowcontrol_timeout": int(N_BS_S * 1000),
                "rx_consecutive_frame_timeout": int(N_CR_S * 1000),
                "wftmax": WAIT_FRAMES_MAX,
                "max_frame_size": MESSAGE_MAX_BYTES,
                "logger_name": _ISOTP_LOG,
            },
        )

    # One message --------------------------------------------------------------------------------

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        self._refuse_if_lost()
        if self._kernel is not None:
            if check is None:
                self._flush_bus()
                self._kernel.send(payload)
                return
            if self._kernel.is_open:
                self._kernel.close()
                self._flush_bus()
                self._layer.reset()
        self._check, self._sending, self._stmin_s = check, True, 0.0
        self._faults.clear()
        try:
            self._layer.send(payload)
            while self._layer.transmitting():
                self._advance()
                self._raise_tx_fault()
        finally:
            # On every way out, also when the gate raised in the middle: the next message starts
            # from a clean state machine, and the rest of this one is gone.
            self._check, self._sending = None, False
            self._layer.stop_sending()
            self._layer.clear_tx_queue()

    def _advance(self) -> None:
        """Let the state machine send what it may send now, or wait for flow control."""
        layer = self._layer
        if layer.tx_state is layer.TxState.WAIT_FC:
            self._read_until = now() + layer.timer_rx_fc.remaining() + 0.001
            layer.process()
            return
        delay = layer.next_cf_delay()
        if delay:
            time.sleep(delay)
        layer.process(do_rx=False)

    def _raise_tx_fault(self) -> None:
        fault = next((f for f in self._faults if isinstance(f, _TX_FAULTS)), None)
        if isinstance(fault, isotp.FlowControlTimeoutError):
            raise NoAnswer(
                f"The ECU sent no flow control frame within {N_BS_S} s, so it has not got the "
                f"whole message{f' ({self._trouble})' if self._trouble else ''}.",
                "Check ignition, plug and the identifiers in the link, then try again.",
            )
        if isinstance(fault, isotp.OverflowError):
            raise LinkError(
                "The ECU has no room for a message of this length (flow control: overflow).",
                "Use a smaller block length in the profile.",
            )
        if fault is not None:
            raise LinkError(
                f"The ECU asked {WAIT_FRAMES_MAX} times to wait and never let the message go on.",
                "Wait a moment and try again.",
            )

    def _receive(self, deadline: float) -> bytes | None:
        self._refuse_if_lost()
        if self._kernel is not None and self._kernel.is_open:
            return self._receive_through(self._kernel, deadline)
        layer = self._layer
        self._faults.clear()
        limit = max(deadline, now()) + RECEPTION_LIMIT_S
        while not layer.available():
            if layer.is_rx_active():
                # A message that has begun is taken in to its end, also past the deadline.
                self._read_until = min(now() + layer.timer_rx_cf.remaining() + 0.001, limit)
            else:
                self._read_until = deadline
            layer.process()
            if self._faults:
                self._trouble = str(self._faults[-1])
            if now() >= limit:
                layer.stop_receiving()
            if now() >= deadline and not layer.is_rx_active() and not layer.available():
                return None
        return bytes(layer.recv() or b"")

    # One frame ----------------------------------------------------------------------------------

    def _read_frame(self, _timeout: float) -> isotp.CanMessage | None:
        """can-isotp's rxfn. Returns None when it is time to look at the state machine."""
        layer = self._layer
        done = not layer.transmitting() if self._sending else layer.available()
        if done:
            return None
        for _ in range(_FOREIGN_FRAMES_AT_ONCE):
            remaining = max(self._read_until - now(), 0.0)
            try:
                frame = self._bus.recv(remaining)
            except (can.CanError, OSError) as error:
                raise self._refused(error) from error
            if frame is None:
                return None
            if frame.is_error_frame:
                self._judge_error_frame(frame)
            elif frame.arbitration_id == self._can.rx and frame.is_extended_id == (
                self._can.extended
            ):
                if _is_well_formed(frame.data):
                    return self._convert(frame)
                self._trouble = f"a frame {frame.data.hex()} that is not ISO-TP came in"
        return None

    def _convert(self, frame: can.Message) -> isotp.CanMessage:
        data = frame.data
        if data[0] >> 4 == _FLOW_CONTROL:
            # Reserved STmin values mean the longest (ISO 15765-2:2016, 9.6.5.6).
            if 0x80 <= data[2] <= 0xF0 or data[2] >= 0xFA:
                data[2] = _STMIN_LONGEST
            self._stmin_s = data[2] / 1e3 if data[2] < 0x80 else (data[2] - 0xF0) / 1e4
        return isotp.CanMessage(
            arbitration_id=frame.arbitration_id,
            data=bytes(data),
            extended_id=frame.is_extended_id,
            is_fd=frame.is_fd,
            bitrate_switch=frame.bitrate_switch,
        )

    def _write_frame(self, frame: isotp.CanMessage) -> None:
        """can-isotp's txfn: the last place that every frame passes."""
        kind = frame.data[0] >> 4
        message = can.Message(
            arbitration_id=frame.arbitration_id,
            data=frame.data,
            is_extended_id=frame.is_extended_id,
            is_fd=frame.is_fd,
            bitrate_switch=frame.bitrate_switch,
        )
        if self._pace is not None:
            self._pace.wait(frame.arbitration_id, frame.data, extended=frame.is_extended_id)
        try:
            # Wait first and ask last: what the gate allowed must not lie around.
            self._wait_writable()
            if self._check is not None and kind != _FLOW_CONTROL:
                self._check()
            self._bus.send(message, SEND_LIMIT_S)
        except (can.CanError, OSError) as error:
            raise self._refused(error) from error
        if self._stmin_s and kind == _CONSECUTIVE:
            # STmin counts from the end of a frame on the bus (ISO 15765-2:2016, 9.6.5.5);
            # can-isotp counts from before it is handed over.
            self._layer.timer_tx_stmin.start(self._stmin_s + self._frame_s)

    # Trouble ------------------------------------------------------------------------------------

    def _judge_error_frame(self, frame: can.Message) -> None:
        trouble = read_error_frame(frame.arbitration_id, bytes(frame.data))
        if trouble is None:
            return
        if trouble.lost:
            raise self._lose(trouble.what, CHECK_WIRING)
        self._trouble = trouble.what

    def _refused(self, error: can.CanError | OSError) -> LinkLost:
        """The medium took or gave no frame: what the controller says of it comes first."""
        number = error.error_code if isinstance(error, can.CanError) else error.errno
        what, next_step = explain_os_error(number, self._can.channel)
        try:
            while (frame := self._bus.recv(0)) is not None:
                if frame.is_error_frame:
                    self._judge_error_frame(frame)
        except LinkLost as lost:
            return lost
        except (can.CanError, OSError):
            pass  # The same trouble once more.
        because = f": {self._trouble}" if self._trouble else ""
        return self._lose(f"{what or error}{because}", next_step or _NO_MEDIUM)

    def _lose(self, reason: str, next_step: str) -> LinkLost:
        self._lost, self._after_loss = reason, next_step
        return self._lost_error()

    def _lost_error(self) -> LinkLost:
        return LinkLost(f"The CAN link is lost: {self._lost}.", self._after_loss or _NO_MEDIUM)

    def _refuse_if_lost(self) -> None:
        if self._lost:
            raise self._lost_error()

    # Reads through the kernel -------------------------------------------------------------------

    def _receive_through(self, kernel: KernelReads, deadline: float) -> bytes | None:
        """The kernel tells of a message only when it is whole, but the bus shows its frames: as
        long as those come, the message is given time past the deadline."""
        limit = max(deadline, now()) + RECEPTION_LIMIT_S
        while (answer := kernel.receive(deadline)) is None:
            if not self._flush_bus() or now() > limit:
                return None
            deadline = now() + N_CR_S
        self._flush_bus()
        return answer

    def _flush_bus(self) -> bool:
        """Throw away what the bus has; True if the ECU sent something."""
        seen = False
        try:
            for _ in range(_FOREIGN_FRAMES_AT_ONCE):
                frame = self._bus.recv(0)
                if frame is None:
                    break
                if frame.is_error_frame:
                    self._judge_error_frame(frame)
                else:
                    seen = seen or frame.arbitration_id == self._can.rx
        except (can.CanError, OSError) as error:
            raise self._refused(error) from error
        return seen


class KernelReads:
    """Reads through Linux' own ISO-TP socket, one socket for a run of reads.

    Args:
        uri: a socketcan link with `kernel_reads=1`.

    Raises:
        LinkError: the kernel or its can-isotp module does not offer it.
    """

    def __init__(self, uri: CanUri) -> None:
        self._can = uri
        self._socket: isotp.socket | None = None
        self._open()
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the kernel answers flow control now, so that nobody else may."""
        return self._socket is not None

    def close(self) -> None:
        """Close the socket; the next `send` opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is in the interface's queue.

        Raises:
            NoAnswer: the ECU's flow control stopped or forbade it.
        """
        link = self._open() if self._socket is None else self._socket
        try:
            link.settimeout(SEND_LIMIT_S + N_BS_S)
            link.send(payload)
        except OSError as error:
            raise NoAnswer(
                f"The request did not get through to the ECU: {error.strerror or error}.",
                "Check ignition, plug and the identifiers in the link, then try again.",
            ) from error

    def receive(self, deadline: float) -> bytes | None:
        """The next whole message, or None when there is none by the deadline."""
        link = self._socket
        if link is None:
            return None
        if not select.select([link], [], [], max(deadline - now(), 0.0))[0]:
            return None
        try:
            return bytes(link.recv(_KERNEL_RECEIVE_BYTES))
        except OSError as error:
            # The kernel reports a broken reception once (EILSEQ, ETIMEDOUT) and goes on.
            logging.getLogger(__name__).info("kernel ISO-TP: %s", error)
            return None

    def _open(self) -> isotp.socket:
        mode = (
            isotp.AddressingMode.Normal_29bits
            if self._can.extended
            else isotp.AddressingMode.Normal_11bits
        )
        try:
            link = isotp.socket(timeout=SEND_LIMIT_S)
        except (OSError, NotImplementedError) as error:
            raise _no_kernel_isotp(str(error)) from error
        try:
            link.set_opts(optflag=link.flags.WAIT_TX_DONE, txpad=self._can.padding)
            link.set_fc_opts(bs=self._can.block_size, stmin=self._can.stmin)
            if self._can.fd:
                link.set_ll_opts(mtu=72, tx_dl=self._can.tx_dl)
            link.bind(self._can.channel, isotp.Address(mode, txid=self._can.tx, rxid=self._can.rx))
        except OSError as error:
            link.close()
            raise _no_kernel_isotp(str(error)) from error
        self._socket = link
        return link


def _no_kernel_isotp(reason: str) -> LinkError:
    return LinkError(
        f"The kernel offers no ISO-TP here ({reason}).",
        "Load it with 'modprobe can-isotp', or take kernel_reads=1 out of the link.",
    )


def _is_well_formed(data: bytearray) -> bool:
    """Whether a frame is ISO-TP at all; others are ignored (ISO 15765-2:2016, 9.6), whereas
    can-isotp would give up the message that it is receiving."""
    size = len(data)
    if size < 2:
        return False
    kind, low = data[0] >> 4, data[0] & 0x0F
    if kind == _SINGLE:
        return low < size if low else 8 < size >= data[1] + 2 > 2
    if kind == _FIRST:
        return size >= 8
    if kind == _FLOW_CONTROL:
        return size >= 3 and low < 3
    return kind == _CONSECUTIVE


def _buffers(uri: CanUri) -> bool:
    """Whether frames lie in buffers on their way that we cannot make smaller."""
    return uri.interface in {"socketcand", "slcan", "udp_multicast"}


def _open_bus(uri: CanUri) -> can.BusABC:
    try:
        return _OPENERS[uri.interface](uri)
    except (can.CanInterfaceNotImplementedError, ImportError) as error:
        raise LinkError(
            f"The CAN link {uri.text} cannot be opened: {error}.",
            "Install what python-can needs for this interface, or use another one.",
        ) from error
    except (can.CanError, OSError, ValueError) as error:
        raise LinkError(
            f"The CAN link {uri.text} cannot be opened: {error}.", _NO_MEDIUM
        ) from error


# python-can's classes are made directly: `can.Bus` would mix in configuration files and variables.


def _open_socketcan(uri: CanUri) -> can.BusABC:
    from can.interfaces.socketcan import SocketcanBus  # noqa: PLC0415 - loads what it needs alone

    socket.if_nametoindex(uri.channel)  # python-can leaves its socket open when this fails
    mask = 0x1FFF_FFFF if uri.extended else 0x7FF
    bus = SocketcanBus(
        channel=uri.channel,
        fd=uri.fd,
        can_filters=[{"can_id": uri.rx, "can_mask": mask, "extended": uri.extended}],
    )
    # The kernel raises it to its minimum: few frames wait behind the gate's back, and a full
    # interface queue (ENOBUFS) cannot come about.
    bus.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return bus


def _open_slcan(uri: CanUri) -> can.BusABC:
    from can.interfaces.slcan import slcanBus  # noqa: PLC0415 - loads pyserial

    return slcanBus(uri.channel, bitrate=uri.bitrate)


def _open_udp_multicast(uri: CanUri) -> can.BusABC:
    from can.interfaces.udp_multicast import UdpMulticastBus  # noqa: PLC0415 - loads msgpack

    if uri.port:
        return UdpMulticastBus(channel=uri.channel, port=uri.port, fd=uri.fd)
    return UdpMulticastBus(channel=uri.channel, fd=uri.fd)


def _open_virtual(uri: CanUri) -> can.BusABC:
    from can.interfaces.virtual import VirtualBus  # noqa: PLC0415 - as the others

    protocol = can.CanProtocol.CAN_FD if uri.fd else can.CanProtocol.CAN_20
    return VirtualBus(channel=uri.channel, protocol=protocol)


_OPENERS: dict[str, Callable[[CanUri], can.BusABC]] = {
    "socketcan": _open_socketcan,
    "socketcand": lambda uri: SocketcandBus(uri.host, uri.port, uri.channel),
    "virtual": _open_virtual,
    "slcan": _open_slcan,
    "udp_multicast": _open_udp_multicast,
}


def _writable_waiter(bus: can.BusABC) -> Callable[[], None]:
    """A call that returns when the bus can take a frame at once, if the bus can tell."""
    try:
        descriptor = bus.fileno()
    except NotImplementedError:
        descriptor = -1
    if descriptor < 0:
        return lambda: None
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)

    def wait() -> None:
        if not poller.poll(SEND_LIMIT_S * 1000):
            raise can.CanOperationError(
                f"the bus took no frame for {SEND_LIMIT_S} s", errno.ENOBUFS
            )

    return wait
