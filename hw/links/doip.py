"""Diagnostics over IP (ISO 13400-2): routing activation, diagnostic messages, discovery, TLS.

Message layouts, code names and time limits come from doipclient; the socket path is the kit's own:
doipclient's formats every received byte as text for a log line, and sends again after reconnecting,
which must never happen to a write.

TCP hands whole messages on, so the gate is asked once before each message of a write.
`MESSAGE_MAX_BYTES` caps a message to what 100 Mbit/s carries in 10 ms: that is the longest a write
goes on after the gate has closed.

A connection that breaks is not rebuilt: whether the ECU got the last message is unknown, so the
caller decides. The entity's alive check (ISO 13400-2:2019, 7.6) is answered whenever the link is in
use: in `request`, `notify` and `attend`. A caller that pauses uses `Link.attend` rather than sleep.
"""

# doipclient declares itself typed and has no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import ipaddress
import select
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from enum import IntEnum
from typing import NamedTuple, NoReturn

from doipclient import constants, messages

from hw.clock import now
from hw.links.base import FrameCheck, Link, LinkError, LinkGate, LinkLost
from hw.links.uri import DiscoveryUri, DoipUri
from hw.messages import FoundEcu
from hw.plan import Timing

MESSAGE_MAX_BYTES = 125_000
"""Longest DoIP message to send, header included: 10 ms at 100 Mbit/s."""

CONNECT_LIMIT_S = 3.0
SEND_LIMIT_S = 2.0
"""Longest time the peer may leave its receive window shut before the connection counts as lost."""

MESSAGE_LIMIT_S = 2.0
"""Longest pause within one received message."""

ACKNOWLEDGE_LIMIT_S = float(constants.A_DOIP_DIAGNOSTIC_MESSAGE)
CONTROL_LIMIT_S = float(constants.A_DOIP_CTRL)

ANNOUNCE_SPREAD_S = float(constants.A_DOIP_ACCOUNCE_MAX_WAIT) + 0.1
"""Entities spread their answers over 0..500 ms (A_DoIP_Announce_Wait, ISO 13400-2:2019, table 1);
a tenth of a second more is for the way."""

RECEPTION_LIMIT_S = 30.0
"""Longest time one received message may take, however slowly its bytes drip."""

RECEIVE_MAX_BYTES = 1 << 20
"""Longest message to take in; a longer one means that the byte stream is out of step."""

_HEADER = struct.Struct("!BBHL")
_DIAGNOSTIC = struct.Struct("!BBHLHH")
_ADDRESSES = struct.Struct("!HH")

_GENERIC_NACK = messages.GenericDoIPNegativeAcknowledge.payload_type
_IDENTIFICATION = messages.VehicleIdentificationResponse.payload_type
_ACTIVATION_RESPONSE = messages.RoutingActivationResponse.payload_type
_ALIVE_CHECK = messages.AliveCheckRequest.payload_type
_MESSAGE = messages.DiagnosticMessage.payload_type
_ACK = messages.DiagnosticMessagePositiveAcknowledgement.payload_type
_NACK = messages.DiagnosticMessageNegativeAcknowledgement.payload_type

_CHECK_NETWORK = "Check the cable and the address in the link, then connect again."

_ACTIVATION_NEXT = {
    0x00: "Use a 'source' that the vehicle knows, usually 0x0E00 to 0x0E7F.",
    0x01: "All of the vehicle's connections are taken: disconnect other testers.",
    0x02: "Use one 'source' only on this connection.",
    0x03: "Another tester uses this 'source': disconnect it or use another.",
    0x04: "The vehicle demands authentication, which needs the manufacturer's certificate.",
    0x05: "Confirm on the vehicle's display, then try again.",
    0x06: "Use another 'activation' type in the link.",
    0x07: "Use doip+tls:// with the manufacturer's authority.",
    0x11: "Confirm on the vehicle's display, then try again.",
}
_NACK_NEXT = {
    0x02: "The vehicle does not know our 'source' on this connection: connect again.",
    0x03: "Check 'target' in the link: the vehicle has no such ECU.",
    0x04: "Use a smaller block length in the profile.",
    0x05: "Wait a moment and try again; use a smaller block length if it comes back.",
    0x06: "The ECU behind the gateway does not answer: check ignition and its supply.",
    0x07: "Check 'target' in the link: the vehicle has no such network.",
    0x08: "The vehicle's own bus failed: check ignition and wiring, then try again.",
}


class _Received(NamedTuple):
    kind: int
    payload: bytes


class DoipLink(Link):
    """A conversation with one ECU through a DoIP entity, over TCP or TLS.

    Args:
        uri: the parsed link.
        gate, timing: see `Link`.

    Raises:
        LinkLost: no connection, or its certificate is not what `ca` signed.
        LinkError: the entity denied routing activation; the sentence says why.
    """

    max_request_bytes = MESSAGE_MAX_BYTES - _DIAGNOSTIC.size

    def __init__(self, uri: DoipUri, gate: LinkGate, timing: Timing) -> None:
        super().__init__(uri.text, gate, timing)
        self._doip = uri
        self._lost = ""
        self._inbox: deque[bytes] = deque()
        self._buffer = bytearray(1 << 17)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._wire = _connect(uri)
        try:
            self._activate_routing()
        except BaseException:
            self._wire.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()
        self._lost = self._lost or "it was closed"

    # Routing activation (ISO 13400-2:2019, 7.5) -------------------------------------------------

    def _activate_routing(self) -> None:
        request = messages.RoutingActivationRequest(self._doip.source, self._doip.activation)
        self._send(self._pack(request.payload_type, request.pack()))
        deadline = now() + CONTROL_LIMIT_S
        while (received := self._next(deadline)) is not None:
            if received.kind == _ACTIVATION_RESPONSE:
                self._judge_activation(received.payload)
                return
        self._lose(f"no answer to routing activation within {CONTROL_LIMIT_S} s")

    def _judge_activation(self, payload: bytes) -> None:
        if len(payload) not in {9, 13}:
            self._lose("the answer to routing activation has a wrong length")
        answer = messages.RoutingActivationResponse.unpack(payload, len(payload))
        codes = messages.RoutingActivationResponse.ResponseCode
        code = payload[4]
        if code == codes.Success and answer.client_logical_address == self._doip.source:
            return
        raise LinkError(
            f"The vehicle denied routing activation with code 0x{code:02X} ({_name(codes, code)}).",
            _ACTIVATION_NEXT.get(code, "Check 'source' and 'activation' in the link."),
        )

    # One message --------------------------------------------------------------------------------

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        header = _DIAGNOSTIC.pack(
            self._doip.version,
            0xFF ^ self._doip.version,
            _MESSAGE,
            _ADDRESSES.size + len(payload),
            self._doip.source,
            self._doip.target,
        )
        if check is not None:
            check()
        self._send(header, payload)
        self._await_acknowledge()

    def _await_acknowledge(self) -> None:
        """ISO 13400-2:2019, 7.8: every diagnostic message is acknowledged, in order, within 2 s.

        Without it the connection is half open or out of step; then nothing more is sent on it.
        """
        deadline = now() + ACKNOWLEDGE_LIMIT_S
        while (received := self._next(deadline)) is not None:
            if received.kind == _MESSAGE:
                self._keep(received.payload)
            elif received.kind in {_ACK, _NACK} and self._is_ours(received.payload):
                if received.kind == _NACK:
                    raise _nack_error(received.payload)
                return
            if now() > deadline:
                break
        self._lose(f"the vehicle acknowledged nothing within {ACKNOWLEDGE_LIMIT_S} s")

    def _receive(self, deadline: float) -> bytes | None:
        while not self._inbox:
            received = self._next(deadline)
            if received is None or now() > deadline + MESSAGE_LIMIT_S:
                return None  # late, or a flood of what is not for us
            if received.kind == _MESSAGE:
                self._keep(received.payload)
        return self._inbox.popleft()

    def _keep(self, payload: bytes) -> None:
        if self._is_ours(payload) and len(payload) > _ADDRESSES.size:
            self._inbox.append(payload[_ADDRESSES.size :])

    def _is_ours(self, payload: bytes) -> bool:
        """From our ECU to us; a gateway may pass on what others say."""
        if len(payload) < _ADDRESSES.size:
            return False
        source, target = _ADDRESSES.unpack_from(payload)
        return bool(source == self._doip.target and target == self._doip.source)

    # The byte stream ----------------------------------------------------------------------------

    def _next(self, deadline: float) -> _Received | None:
        """The next message that is not the medium's own business, or None at the deadline."""
        while (received := self._read_message(deadline)) is not None:
            if received.kind == _ALIVE_CHECK:
                alive = messages.AliveCheckResponse(self._doip.source)
                self._send(self._pack(alive.payload_type, alive.pack()))
            elif received.kind == _GENERIC_NACK:
                self._judge_generic_nack(received.payload)
            else:
                return received
            if now() > deadline + MESSAGE_LIMIT_S:
                break
        return None

    def _judge_generic_nack(self, payload: bytes) -> None:
        codes = messages.GenericDoIPNegativeAcknowledge.NackCodes
        code = payload[0] if payload else 0xFF
        what = f"the vehicle does not accept our message (code 0x{code:02X} {_name(codes, code)})"
        if code in {codes.MessageTooLarge, codes.OutOfMemory}:
            raise LinkError(f"DoIP: {what}.", "Use a smaller block length in the profile.")
        self._lose(what)

    def _read_message(self, deadline: float) -> _Received | None:
        if self._end - self._start < _HEADER.size and not self._fill(_HEADER.size, deadline):
            return None
        version, inverse, kind, length = _HEADER.unpack_from(self._buffer, self._start)
        if version ^ inverse != 0xFF or length > RECEIVE_MAX_BYTES:
            self._lose("what the vehicle sends is not DoIP")
        self._start += _HEADER.size
        if not self._fill(length, now() + MESSAGE_LIMIT_S):
            self._lose("a message from the vehicle broke off")
        payload = bytes(self._view[self._start : self._start + length])
        self._start += length
        return _Received(kind, payload)

    def _fill(self, wanted: int, deadline: float) -> bool:
        """Read until `wanted` bytes are buffered. False: not even one came by the deadline."""
        self._make_room(wanted)
        limit = max(deadline, now()) + RECEPTION_LIMIT_S
        while self._end - self._start < wanted:
            begun = self._end > self._start
            count = self._read_some(now() + MESSAGE_LIMIT_S if begun else deadline)
            if begun and (count == 0 or now() > limit):
                self._lose("a message from the vehicle broke off")
            if count == 0:
                return False
            self._end += count
        return True

    def _make_room(self, wanted: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + wanted > len(self._buffer):
            kept = bytes(self._view[self._start : self._end])
            if wanted > len(self._buffer):
                self._view.release()
                self._buffer = bytearray(RECEIVE_MAX_BYTES + _HEADER.size)
                self._view = memoryview(self._buffer)
            self._view[: len(kept)] = kept
            self._start, self._end = 0, len(kept)

    def _read_some(self, deadline: float) -> int:
        """Bytes read into the buffer; 0 when none came by the deadline."""
        self._refuse_if_lost()
        try:
            self._wire.settimeout(max(deadline - now(), 0.0))
            count = self._wire.recv_into(self._view[self._end :])
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            self._lose(str(error), error)
        if count == 0:
            self._lose("the vehicle closed the connection")
        return count

    def _send(self, header: bytes, payload: bytes = b"") -> None:
        self._refuse_if_lost()
        try:
            self._wire.settimeout(SEND_LIMIT_S)
            if isinstance(self._wire, ssl.SSLSocket):
                self._wire.sendall(header + payload)  # TLS has no gather-write
                return
            sent = self._wire.sendmsg([header, payload])
            if sent < len(header):
                self._wire.sendall(header[sent:] + payload)
            elif sent < len(header) + len(payload):
                self._wire.sendall(memoryview(payload)[sent - len(header) :])
        except OSError as error:
            self._lose(str(error), error)

    def _pack(self, kind: int, payload: bytes) -> bytes:
        return _pack(self._doip.version, kind, payload)

    def _lose(self, reason: str, cause: OSError | None = None) -> NoReturn:
        """Close, so that nothing goes out behind a message that may be incomplete."""
        self._lost = reason
        self._wire.close()
        raise self._lost_error() from cause

    def _lost_error(self) -> LinkLost:
        return LinkLost(f"The DoIP connection is lost: {self._lost}.", _CHECK_NETWORK)

    def _refuse_if_lost(self) -> None:
        if self._lost:
            raise self._lost_error()


def _nack_error(payload: bytes) -> LinkError:
    codes = messages.DiagnosticMessageNegativeAcknowledgement.NackCodes
    code = payload[4] if len(payload) > 4 else 0xFF
    return LinkError(
        f"The vehicle did not pass the request on: code 0x{code:02X} ({_name(codes, code)}).",
        _NACK_NEXT.get(code, "Check the addresses in the link, then try again."),
    )


def _name(codes: type[IntEnum], code: int) -> str:
    return codes(code).name if code in codes.__members__.values() else "reserved"


def _pack(version: int, kind: int, payload: bytes) -> bytes:
    return _HEADER.pack(version, 0xFF ^ version, kind, len(payload)) + payload


def _connect(uri: DoipUri) -> socket.socket:
    context = _tls_context(uri) if uri.tls else None
    try:
        wire = socket.create_connection((uri.host, uri.port), CONNECT_LIMIT_S)
    except OSError as error:
        raise LinkLost(
            f"No DoIP connection to {uri.host} port {uri.port}: {error}.", _CHECK_NETWORK
        ) from error
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return wire
    try:
        return context.wrap_socket(wire, server_hostname=uri.server_name)
    except (OSError, ValueError) as error:
        wire.close()
        raise LinkLost(
            f"No trusted DoIP connection to {uri.host} port {uri.port}: {error}.",
            "Check that 'ca' is the authority that signed this vehicle's certificate, and "
            "'server_name' the name in it.",
        ) from error


def _tls_context(uri: DoipUri) -> ssl.SSLContext:
    """TLS 1.2 or later, the entity verified against the given authority only."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(uri.ca))
    except (OSError, ssl.SSLError) as error:
        raise LinkError(
            f"The authority's file {uri.ca} cannot be used: {error}.",
            "Give 'ca' the path of a PEM file with the authority's certificate.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


# Discovery (ISO 13400-2:2019, 7.4) ----------------------------------------------------------------


def discover_entities(where: DiscoveryUri) -> list[FoundEcu]:
    """Ask for vehicle identification and collect the answers; see `hw.links.discover`."""
    request = _pack(where.version, messages.VehicleIdentificationRequest.payload_type, b"")
    found: dict[tuple[str, int], FoundEcu] = {}
    with ExitStack() as sockets:
        try:
            family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
            asking = sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            listening = [asking]
            if _is_broadcast(where.host):
                # Entities that start up announce themselves here, unasked.
                announced = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                announced.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                announced.bind(("", where.port))
                listening.append(announced)
            asking.sendto(request, (where.host, where.port))
            for datagram, host in _datagrams(listening):
                if (ecu := _identify(datagram, host, where)) is not None:
                    found[host, ecu.logical_address] = ecu
        except OSError as error:
            raise LinkError(
                f"ECUs cannot be looked for at {where.host} port {where.port}: {error}.",
                "Check the cable and the address.",
            ) from error
    return sorted(found.values(), key=lambda ecu: (ecu.logical_address, ecu.link))


def _datagrams(sockets: list[socket.socket]) -> Iterator[tuple[bytes, str]]:
    """All that arrives until A_DoIP_Ctrl is over, or `ANNOUNCE_SPREAD_S` after the last."""
    end = now() + CONTROL_LIMIT_S
    wait_until = end
    while (remaining := min(wait_until, end) - now()) > 0:
        for ready in select.select(sockets, [], [], remaining)[0]:
            datagram, address = ready.recvfrom(4096)
            wait_until = now() + ANNOUNCE_SPREAD_S
            yield datagram, str(address[0])


def _identify(datagram: bytes, host: str, where: DiscoveryUri) -> FoundEcu | None:
    """Read a vehicle announcement or identification response; None for anything else."""
    if len(datagram) < _HEADER.size:
        return None
    version, inverse, kind, length = _HEADER.unpack_from(datagram)
    payload = datagram[_HEADER.size :]
    if version ^ inverse != 0xFF or kind != _IDENTIFICATION or length != len(payload):
        return None
    if length not in {32, 33}:
        return None
    answer = messages.VehicleIdentificationResponse.unpack(payload, length)
    address = int(answer.logical_address)
    shown = f"[{host}]" if ":" in host else host
    source = "" if where.source is None else f"&source=0x{where.source:04X}"
    return FoundEcu(
        link=f"doip://{shown}:{where.port}?target=0x{address:04X}{source}",
        logical_address=address,
        vin=_vin(payload[:17]),
        eid=bytes(answer.eid).hex(),
    )


def _vin(raw: bytes) -> str:
    """Empty when the entity says that it has none (all 0x00 or 0xFF), or when it is no text."""
    text = raw.decode("ascii", errors="replace")
    return text if text.isprintable() and "\ufffd" not in text else ""


def _is_broadcast(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).packed[-1] == 0xFF
    except ValueError:
        return False
