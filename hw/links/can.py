"""can:// - ISO-TP (ISO 15765-2) over python-can, segmented in user space.

The segmentation is can-isotp's state machine, driven inline by the calling thread: the frame check
is called in the function that hands a frame to the bus, so that every frame of a write passes the
gate. Reads may use the kernel's ISO-TP (`kernel_reads=1`); writes never do.

A message that the gate stops is left unfinished: the receiver drops it when no consecutive frame
comes (N_Cr, 1 s) or when the next message begins (ISO 15765-2:2016, 9.8.3).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from hw.clock import now
from hw.links.base import FrameCheck, Link, LinkError, LinkGate, LinkLost, NoAnswer
from hw.links.uri import CanUri
from hw.plan import Timing

if TYPE_CHECKING:
    import can
    import isotp

MAX_REQUEST = 4095
"""Bytes: the largest message with a 12-bit length, which every ECU understands."""
_BUFFERED = frozenset({"socketcand", "slcan", "udp_multicast"})
_AHEAD_S = 0.002
_SEND_LIMIT_S = 60.0
_CAN_ERR_BUSOFF = 0x40
# ISO 15765-2:2016, table 15: the sender waits N_Bs for flow control, the receiver N_Cr for frames.
_N_BS_MS = 1000
_N_CR_MS = 1000
_WAIT_FRAMES = 10


class CanLink(Link):
    """A link over CAN.

    Args:
        uri: parsed; tx and rx identifiers and what ISO-TP asks for.
        gate, timing: as for every link.

    Raises:
        LinkError: the interface is not there.
    """

    max_request_bytes = MAX_REQUEST

    def __init__(self, uri: CanUri, gate: LinkGate, timing: Timing) -> None:
        super().__init__(uri.text, gate, timing)
        self._can_uri = uri
        self._bus = _open_bus(uri)
        self._check: FrameCheck | None = None
        self._faults: list[Exception] = []
        self._bus_busy_until = 0.0
        self._layer = _layer(uri, self._take, self._put, self._faults.append)
        self._kernel: _KernelReads | None = None

    def close(self) -> None:
        """Let go of the bus."""
        self._close_kernel()
        self._bus.shutdown()

    # One message ------------------------------------------------------------------------------

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        self._close_kernel()
        if check is None and self._can_uri.kernel_reads:
            self._kernel = _KernelReads(self._can_uri)
            self._kernel.send(payload)
            return
        self._check = check
        self._faults.clear()
        try:
            self._layer.send(payload)
            limit = now() + _SEND_LIMIT_S
            while self._layer.transmitting() and now() < limit:
                self._layer.process(rx_timeout=self._wait_while_sending())
        except BaseException:
            # The gate or the bus ended it: forget what is left of the message.
            self._layer.stop_sending()
            raise
        finally:
            self._check = None
        self._raise_send_fault()

    def _wait_while_sending(self) -> float:
        if self._layer.is_tx_transmitting_cf():
            return min(self._layer.next_cf_delay() or 0.0, 0.1)
        return 0.05

    def _raise_send_fault(self) -> None:
        import isotp  # noqa: PLC0415 - loaded with the first link

        for fault in self._faults:
            if isinstance(
                fault,
                isotp.FlowControlTimeoutError
                | isotp.OverflowError
                | isotp.MaximumWaitFrameReachedError,
            ):
                raise NoAnswer(
                    f"The ECU did not take the whole message: {fault}.",
                    "Check ignition, plug and the identifiers in the link, then try again.",
                )
        if self._layer.transmitting():
            self._layer.stop_sending()
            raise NoAnswer(
                f"The ECU did not take the whole message within {_SEND_LIMIT_S:g} s.",
                "Check the bus for another tester and try again.",
            )

    def _receive(self, deadline: float) -> bytes | None:
        if self._kernel is not None:
            return self._kernel.receive(deadline)
        while True:
            if (message := self._layer.recv()) is not None:
                return bytes(message)
            left = deadline - now()
            if left <= 0 and not self._layer.is_rx_active():
                self._layer.process(rx_timeout=0.0)
                if not self._layer.is_rx_active():
                    message = self._layer.recv()
                    return bytes(message) if message is not None else None
            # A message that has begun is awaited to its end; can-isotp itself ends one that stalls.
            self._layer.process(rx_timeout=min(max(left, 0.0), 0.05) or 0.01)
            self._note_receive_faults()

    def _note_receive_faults(self) -> None:
        if self._faults:
            self._trouble = str(self._faults[-1])
            self._faults.clear()

    # One frame --------------------------------------------------------------------------------

    def _put(self, frame: isotp.CanMessage) -> None:
        import can  # noqa: PLC0415 - loaded with the first link

        # Flow control that the kit sends as a receiver is no part of a write: no check is set then.
        if self._check is not None:
            self._pace()
            self._check()
        try:
            self._bus.send(
                can.Message(
                    arbitration_id=frame.arbitration_id,
                    data=frame.data,
                    is_extended_id=frame.is_extended_id,
                    is_fd=frame.is_fd,
                    bitrate_switch=frame.bitrate_switch,
                    check=False,
                ),
                timeout=1.0,
            )
        except (can.CanError, OSError) as error:
            raise _lost(self.uri, error) from error

    def _pace(self) -> None:
        """Keep at most `_AHEAD_S` of frames in buffers between the kit and the bus."""
        uri = self._can_uri
        if uri.interface not in _BUFFERED or not uri.bitrate:
            return
        # 8 data bytes without stuff bits: the shortest time such a frame can take.
        frame_s = (131 if uri.extended else 111) / uri.bitrate
        self._bus_busy_until = max(self._bus_busy_until, now()) + frame_s
        while (ahead := self._bus_busy_until - now()) > _AHEAD_S:
            time.sleep(ahead - _AHEAD_S)

    def _take(self, timeout: float) -> isotp.CanMessage | None:
        import can  # noqa: PLC0415 - loaded with the first link
        import isotp  # noqa: PLC0415 - loaded with the first link

        try:
            message = self._bus.recv(timeout)
        except (can.CanError, OSError, ValueError) as error:
            raise _lost(self.uri, error) from error
        if message is None:
            return None
        if message.is_error_frame:
            self._error_frame(message)
            return None
        return isotp.CanMessage(
            arbitration_id=message.arbitration_id,
            dlc=message.dlc,
            data=message.data,
            extended_id=message.is_extended_id,
            is_fd=message.is_fd,
            bitrate_switch=message.bitrate_switch,
        )

    def _error_frame(self, message: can.Message) -> None:
        if message.arbitration_id & _CAN_ERR_BUSOFF:
            raise LinkLost(
                "The CAN controller is bus-off: it saw too many errors.",
                "Check wiring, termination and bit rate, then restart the interface.",
            )
        self._trouble = f"CAN error frame 0x{message.arbitration_id:X}"

    def _close_kernel(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
            # What the raw socket saw of that conversation is not for the state machine.
            while self._bus.recv(0.0) is not None:
                pass


class _KernelReads:
    """One read through the kernel's ISO-TP socket; open only as long as that read.

    While it is open the kernel answers the ECU's first frames, so user space must not.
    """

    def __init__(self, uri: CanUri) -> None:
        import isotp  # noqa: PLC0415 - loaded with the first link

        mode = isotp.AddressingMode.Normal_29bits if uri.extended else None
        address = isotp.Address(
            mode or isotp.AddressingMode.Normal_11bits, txid=uri.tx, rxid=uri.rx
        )
        self._socket = isotp.socket()
        try:
            if uri.padding is not None:
                self._socket.set_opts(txpad=uri.padding)
            self._socket.set_fc_opts(stmin=uri.stmin, bs=uri.block_size)
            if uri.fd:
                self._socket.set_ll_opts(mtu=isotp.socket.LinkLayerProtocol.CAN_FD, tx_dl=uri.tx_dl)
            self._socket.bind(uri.channel, address)
        except OSError as error:
            self.close()
            raise LinkError(
                f"The kernel's ISO-TP cannot be used on {uri.channel}: {error}.",
                "Load the kernel module can-isotp, or leave kernel_reads out of the link.",
            ) from error

    def send(self, payload: bytes) -> None:
        try:
            self._socket.send(payload)
        except OSError as error:
            raise NoAnswer(
                f"The ECU did not take the whole message: {error}.", "Check ignition and plug."
            ) from error

    def receive(self, deadline: float) -> bytes | None:
        try:
            self._socket.settimeout(max(deadline - now(), 0.001))
            # Without a size the library truncates at 4095 bytes.
            answer = self._socket.recv(1 << 16)
        except TimeoutError:
            return None
        except OSError as error:
            raise LinkLost(f"The CAN interface is gone: {error}.", "Check the adapter.") from error
        return bytes(answer) if answer is not None else None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _layer(uri: CanUri, take: Any, put: Any, fault: Any) -> isotp.TransportLayerLogic:
    import isotp  # noqa: PLC0415 - loaded with the first link

    if uri.extended:
        mode = isotp.AddressingMode.Normal_29bits
    else:
        mode = isotp.AddressingMode.Normal_11bits
    params: dict[str, Any] = {
        "stmin": uri.stmin,
        "blocksize": uri.block_size,
        "tx_padding": uri.padding,
        "tx_data_length": uri.tx_dl,
        "can_fd": uri.fd,
        "bitrate_switch": bool(uri.data_bitrate),
        "rx_flowcontrol_timeout": _N_BS_MS,
        "rx_consecutive_frame_timeout": _N_CR_MS,
        "wftmax": _WAIT_FRAMES,
        "max_frame_size": 1 << 20,
    }
    return isotp.TransportLayerLogic(
        rxfn=take,
        txfn=put,
        address=isotp.Address(mode, txid=uri.tx, rxid=uri.rx),
        error_handler=fault,
        params=params,
    )


def _open_bus(uri: CanUri) -> can.BusABC:
    import can  # noqa: PLC0415 - half of hw's start-up time, and a kit on DoIP never needs it

    mask = 0x1FFF_FFFF if uri.extended else 0x7FF
    options: dict[str, Any] = {
        "interface": uri.interface,
        "channel": uri.channel,
        "can_filters": [{"can_id": uri.rx, "can_mask": mask, "extended": uri.extended}],
    }
    if uri.interface in {"socketcan", "udp_multicast"}:
        options["fd"] = uri.fd
    if uri.interface == "socketcand":
        options |= {"host": uri.host, "port": uri.port}
    if uri.interface == "udp_multicast" and uri.port:
        options["port"] = uri.port
    if uri.interface == "slcan":
        options["bitrate"] = uri.bitrate
    try:
        return can.Bus(**options)
    except (can.CanError, OSError, ImportError, ValueError) as error:
        raise LinkError(
            f"The CAN interface of {uri.text} cannot be opened: {error}.",
            "Check that it is plugged in, up, and spelt as the system names it.",
        ) from error


def _lost(uri: str, error: Exception) -> LinkLost:
    return LinkLost(
        f"The CAN interface of {uri} is gone: {error}.",
        "Check cable and adapter, then start again.",
    )
