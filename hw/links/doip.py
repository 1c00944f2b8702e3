"""doip:// and doip+tls:// - diagnostics over IP (ISO 13400-2).

Message contents are doipclient's codecs; the socket is handled here, because its own client formats
every byte for a log line and re-sends after reconnecting. Nothing here is ever sent twice.

The unit that the gate stops is the whole message: DoIP has no frames. So a message is capped at
what takes 10 ms on a 100 Mbit/s wire (`MAX_MESSAGE`); a sag is followed by at most one message.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

from hw.clock import now
from hw.links.base import FrameCheck, Link, LinkError, LinkGate, LinkLost
from hw.links.uri import DiscoveryUri, DoipUri
from hw.messages import FoundEcu
from hw.plan import Timing

if TYPE_CHECKING:
    from doipclient.messages import DoIPMessage

MAX_MESSAGE = 125_000
"""Bytes: 10 ms on 100 Mbit/s."""
MAX_ANSWER = 16 * 1024 * 1024
CONNECT_S = 2.0
SEND_S = 5.0
ACK_S = 2.0
"""A_DoIP_Diagnostic_Message (ISO 13400-2:2019, table 49): the entity acknowledges within 2 s."""
DISCOVERY_S = 1.5
_HEADER = struct.Struct(">BBHI")
_ADDRESSES = struct.Struct(">HH")
_RECEIVE_BUFFER = 1 << 18

GENERIC_NACK = 0x0000
VEHICLE_IDENTIFICATION_REQUEST = 0x0001
VEHICLE_ANNOUNCEMENT = 0x0004
ROUTING_ACTIVATION_REQUEST = 0x0005
ROUTING_ACTIVATION_RESPONSE = 0x0006
ALIVE_CHECK_REQUEST = 0x0007
ALIVE_CHECK_RESPONSE = 0x0008
DIAGNOSTIC_MESSAGE = 0x8001
DIAGNOSTIC_ACK = 0x8002
DIAGNOSTIC_NACK = 0x8003


class DoipLink(Link):
    """A link to one ECU behind a DoIP entity: connected, routing activated.

    Args:
        uri: parsed; host, logical addresses, TLS.
        gate, timing: as for every link.

    Raises:
        LinkError: the entity is not reached or refuses the routing activation.
    """

    max_request_bytes = MAX_MESSAGE

    def __init__(self, uri: DoipUri, gate: LinkGate, timing: Timing) -> None:
        super().__init__(uri.text, gate, timing)
        self._doip = uri
        self._sock = _connect(uri)
        self._buffer = bytearray()
        self._early: bytes | None = None  # an answer that came before its acknowledgement
        try:
            self._activate_routing()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    # Routing activation -----------------------------------------------------------------------

    def _activate_routing(self) -> None:
        from doipclient.messages import (  # noqa: PLC0415 - loaded with the first DoIP link
            RoutingActivationRequest,
            RoutingActivationResponse,
        )

        request = RoutingActivationRequest(self._doip.source, self._doip.activation)
        self._send(ROUTING_ACTIVATION_REQUEST, request.pack())
        deadline = now() + CONNECT_S
        while (found := self._next(deadline)) is not None:
            kind, body = found
            if kind != ROUTING_ACTIVATION_RESPONSE:
                continue
            answer = _unpack(RoutingActivationResponse, body)
            code = answer.response_code
            if code == RoutingActivationResponse.ResponseCode.Success:
                return
            raise LinkError(
                f"The vehicle refused the routing activation: {_name(code)}.",
                "Check the kit's address (source) and the activation type in the link.",
            )
        raise LinkError(
            "The vehicle did not answer the routing activation.",
            "Check that the ignition is on and no other tester is connected.",
        )

    # One message ------------------------------------------------------------------------------

    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        if check is not None:
            check()
        self._early = None
        addresses = _ADDRESSES.pack(self._doip.source, self._doip.target)
        self._send(DIAGNOSTIC_MESSAGE, addresses, payload)
        self._await_ack()

    def _await_ack(self) -> None:
        """The entity confirms that it took the message; an answer may come only after that."""
        deadline = now() + ACK_S
        while (found := self._next(deadline)) is not None:
            kind, body = found
            if kind == DIAGNOSTIC_ACK and self._is_ours(body):
                return
            if kind == DIAGNOSTIC_NACK and self._is_ours(body):
                raise self._nack(body)
            if kind == DIAGNOSTIC_MESSAGE and self._is_ours(body) and self._early is None:
                # Some entities answer before they acknowledge.
                self._early = bytes(body[4:])
                return
        raise LinkLost(
            f"The vehicle's gateway did not confirm a message within {ACK_S:g} s.",
            "Check the cable; the connection must be opened again.",
        )

    def _receive(self, deadline: float) -> bytes | None:
        early, self._early = self._early, None
        if early is not None:
            return early
        while (found := self._next(deadline)) is not None:
            kind, body = found
            if kind == DIAGNOSTIC_MESSAGE and self._is_ours(body):
                return bytes(memoryview(body)[4:])
            if kind == DIAGNOSTIC_NACK and self._is_ours(body):
                raise self._nack(body)
        return None

    def _is_ours(self, body: bytearray) -> bool:
        return len(body) >= 4 and _ADDRESSES.unpack_from(body) == (
            self._doip.target,
            self._doip.source,
        )

    def _nack(self, body: bytearray) -> LinkError:
        from doipclient.messages import DiagnosticMessageNegativeAcknowledgement  # noqa: PLC0415

        code = _unpack(DiagnosticMessageNegativeAcknowledgement, body).nack_code
        return LinkError(
            f"The vehicle's gateway refused a message for 0x{self._doip.target:04X}: "
            f"{_name(code)}.",
            "Check the target and source addresses in the link.",
        )

    # Socket -----------------------------------------------------------------------------------

    def _send(self, kind: int, *parts: bytes) -> None:
        version = self._doip.version
        length = sum(len(part) for part in parts)
        header = _HEADER.pack(version, version ^ 0xFF, kind, length)
        try:
            self._sock.settimeout(SEND_S)
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.sendall(b"".join((header, *parts)))
            else:
                _send_all(self._sock, [header, *parts])
        except OSError as error:
            raise self._lost(str(error) or type(error).__name__) from error

    def _next(self, deadline: float) -> tuple[int, bytearray] | None:
        """The next message of interest as (payload type, payload); None when none begins in time.

        Alive checks are answered on the way.
        """
        while (found := self._message(deadline)) is not None:
            kind, body = found
            if kind == ALIVE_CHECK_REQUEST:
                self._send(ALIVE_CHECK_RESPONSE, self._doip.source.to_bytes(2, "big"))
            elif kind == GENERIC_NACK:
                code = body[0] if body else -1
                raise LinkError(
                    f"The vehicle's gateway refused a message: generic code 0x{code:02X}.",
                    "Check the protocol version in the link.",
                )
            else:
                return found
        return None

    def _message(self, deadline: float) -> tuple[int, bytearray] | None:
        if not self._fill(_HEADER.size, deadline):
            return None
        version, inverse, kind, length = _HEADER.unpack_from(self._buffer)
        if version ^ inverse != 0xFF or length > MAX_ANSWER:
            raise self._lost("what came is not DoIP")
        # A message that has begun must also end: half-open connections are found here.
        if not self._fill(_HEADER.size + length, max(deadline, now() + SEND_S)):
            raise self._lost("a message stopped in its middle")
        body = self._buffer[_HEADER.size : _HEADER.size + length]
        del self._buffer[: _HEADER.size + length]
        return kind, body

    def _fill(self, size: int, deadline: float) -> bool:
        while len(self._buffer) < size:
            try:
                self._sock.settimeout(max(deadline - now(), 0.0001))
                data = self._sock.recv(_RECEIVE_BUFFER)
            except (TimeoutError, ssl.SSLWantReadError, BlockingIOError):
                if now() >= deadline:
                    return False
                continue
            except OSError as error:
                raise self._lost(str(error)) from error
            if not data:
                raise self._lost("the vehicle closed the connection")
            self._buffer += data
        return True

    def _lost(self, reason: str) -> LinkLost:
        return LinkLost(
            f"The connection to {self._doip.host} is lost: {reason}.",
            "Check cable and ignition, then start again.",
        )


def discover_entities(where: DiscoveryUri) -> list[FoundEcu]:
    """Ask for vehicle identification and collect the announcements (see `hw.links.discover`)."""
    from doipclient.messages import VehicleIdentificationResponse  # noqa: PLC0415

    found: dict[int, FoundEcu] = {}
    request = _HEADER.pack(where.version, where.version ^ 0xFF, VEHICLE_IDENTIFICATION_REQUEST, 0)
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.sendto(request, (where.host, where.port))
            deadline = now() + DISCOVERY_S
            while (left := deadline - now()) > 0:
                sock.settimeout(left)
                data, (host, *_) = sock.recvfrom(4096)
                body = _announcement(data)
                if body is None:
                    continue
                entity = _unpack(VehicleIdentificationResponse, bytearray(body))
                found[entity.logical_address] = _entity(where, host, entity)
        except TimeoutError:
            pass  # The time for answers is over.
        except OSError as error:
            raise LinkError(
                f"Nobody can be asked on {where.text}: {error}.", "Check the network connection."
            ) from error
    return [found[address] for address in sorted(found)]


def _announcement(data: bytes) -> bytes | None:
    if len(data) < _HEADER.size:
        return None
    version, inverse, kind, length = _HEADER.unpack_from(data)
    whole = version ^ inverse == 0xFF and length == len(data) - _HEADER.size
    return data[_HEADER.size :] if whole and kind == VEHICLE_ANNOUNCEMENT else None


def _entity(where: DiscoveryUri, host: str, entity: Any) -> FoundEcu:
    source = f"&source=0x{where.source:04X}" if where.source is not None else ""
    shown = f"[{host}]" if ":" in host else host
    return FoundEcu(
        link=f"doip://{shown}:{where.port}?target=0x{entity.logical_address:04X}{source}",
        logical_address=entity.logical_address,
        vin=entity.vin,
        eid=bytes(entity.eid).hex(),
    )


def _connect(uri: DoipUri) -> socket.socket:
    context = None
    try:
        if uri.tls:
            context = ssl.create_default_context(cafile=str(uri.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        sock = socket.create_connection((uri.host, uri.port), timeout=CONNECT_S)
    except OSError as error:
        raise LinkError(
            f"The vehicle at {uri.host}:{uri.port} is not reached: {error}.",
            "Check the cable, the ignition and the address.",
        ) from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if context is not None:
            return context.wrap_socket(sock, server_hostname=uri.server_name)
    except OSError as error:
        sock.close()
        raise LinkError(
            f"The vehicle at {uri.host}:{uri.port} is not trusted: {error}.",
            "Check that 'ca' in the link is the authority of this vehicle.",
        ) from error
    return sock


def _send_all(sock: socket.socket, parts: list[bytes]) -> None:
    views = [memoryview(part) for part in parts if part]
    while views:
        sent = sock.sendmsg(views)
        while views and sent >= len(views[0]):
            sent -= len(views.pop(0))
        if sent:
            views[0] = views[0][sent:]


def _unpack(kind: type[DoIPMessage], body: bytearray) -> Any:
    with contextlib.suppress(struct.error, ValueError, UnicodeDecodeError):
        return kind.unpack(bytes(body), len(body))
    raise LinkError(
        "The vehicle's gateway sent a malformed message.", "Check the protocol version in the link."
    )


def _name(code: Any) -> str:
    return f"{getattr(code, 'name', 'reserved')} (0x{int(code):02X})"
