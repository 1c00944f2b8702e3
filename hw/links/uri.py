"""Link URIs: what a person or a profile writes to name a link, parsed strictly.

    can://socketcan/can0?tx=0x7E0&rx=0x7E8
    can://socketcand/127.0.0.1:29536/can0?tx=0x7E0&rx=0x7E8
    can://virtual/demo?...    can://slcan/dev/ttyACM0?...    can://udp_multicast/239.74.163.2?...
    doip://192.168.0.10:13400?target=0x0010&source=0x0E00
    doip+tls://192.168.0.10?target=0x0010&source=0x0E00&ca=/path/of/ca.pem

No identifier has a default: an address that is guessed reaches the wrong ECU. An unknown key is
refused, because a misspelt `bs` would silently change how the kit talks. Numbers are decimal or
0x-hexadecimal.

Keys of can://
    tx, rx        CAN identifiers, kit to ECU and ECU to kit (needed). 29-bit ones with ext=1;
                  normal fixed addressing (ISO 15765-2, 0x18DAttss) is written as the two whole
                  identifiers.
    ext           1: 29-bit identifiers.
    bitrate       bit/s. slcan sets the adapter to it. Where frames are buffered on their way to
                  the bus (socketcand, slcan, udp_multicast) the link keeps no more than 1 ms of
                  frames ahead of a bus of this rate, so that a held write stops on the bus as well;
                  without it what is buffered there still goes out. socketcan: what the interface is
                  set to (the system sets it, the link does not).
    fd, data_bitrate, tx_dl
                  1: CAN FD; bit/s of the data phase (switched only when given); largest frame,
                  8..64 (64 when left out).
    stmin, bs     separation time (raw byte of ISO 15765-2, 9.6.5.5) and block size that the kit
                  asks the ECU for; 0 and 0 when left out.
    padding       byte that fills frames up to 8 bytes; no padding when left out.
    kernel_reads  1: reads through the kernel's ISO-TP (socketcan only); writes never.

Keys of doip:// and doip+tls://
    target, source  logical addresses of the ECU and of the kit (needed).
    activation      routing activation type, 0x00 when left out.
    version         protocol version in the header, 0x02 (ISO 13400-2:2012) when left out.
    ca, server_name only doip+tls, `ca` needed: PEM file of the authority that must have signed the
                    entity's certificate; the name in that certificate, the host when left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hw.errors import UsageError

DOIP_PORT = 13400
DOIP_TLS_PORT = 3496

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")
_FD_LENGTHS = (8, 12, 16, 20, 24, 32, 48, 64)
_FD_INTERFACES = frozenset({"socketcan", "virtual", "udp_multicast"})
_LATER = {
    "kline": "K-Line",
    "j2534": "J2534 devices",
    "bench+i2c": "bench programming",
    "bench+spi": "bench programming",
    "bench+flashrom": "bench programming",
}


@dataclass(frozen=True, slots=True)
class CanUri:
    """A parsed can:// URI. Rates in bit/s, `stmin` as the raw byte of ISO 15765-2."""

    text: str
    interface: str
    channel: str
    host: str
    port: int
    tx: int
    rx: int
    extended: bool
    bitrate: int
    fd: bool
    data_bitrate: int
    tx_dl: int
    stmin: int
    block_size: int
    padding: int | None
    kernel_reads: bool


@dataclass(frozen=True, slots=True)
class DoipUri:
    """A parsed doip:// or doip+tls:// URI."""

    text: str
    host: str
    port: int
    tls: bool
    target: int
    source: int
    activation: int
    version: int
    ca: Path | None
    server_name: str


@dataclass(frozen=True, slots=True)
class DiscoveryUri:
    """Where to look for DoIP entities; `source` is the kit's address for the links found."""

    text: str
    host: str
    port: int
    source: int | None
    version: int


def parse(uri: str) -> CanUri | DoipUri:
    """Read the URI of a link to one ECU.

    Raises:
        UsageError: something is missing, unknown or out of range; the sentence names it.
    """
    parts = _split(uri)
    if parts.scheme == "can":
        return _parse_can(uri, parts)
    if parts.scheme in {"doip", "doip+tls"}:
        return _parse_doip(uri, parts)
    raise _unknown_scheme(uri, parts.scheme)


def parse_discovery(uri: str) -> DiscoveryUri:
    """Read the URI of a place to look for ECUs: `doip://HOST[:PORT]`, perhaps a broadcast address.

    Raises:
        UsageError: not DoIP, or wrong in itself.
    """
    parts = _split(uri)
    if parts.scheme != "doip":
        raise UsageError(
            f"{uri!r} is no place where ECUs announce themselves.",
            "Discovery needs doip://HOST; on CAN name the ECU by a profile.",
        )
    keys = _Query(uri, parts.query, {"target", "source", "version"})
    host, port = _host_and_port(uri, parts, DOIP_PORT)
    source = keys.number("source", 0, 0xFFFF) if "source" in keys else None
    return DiscoveryUri(uri, host, port, source, keys.number("version", 0x01, 0xFF, 0x02))


class _Query:
    """The part after '?': known keys only, each once, with range checks that name the key."""

    def __init__(self, uri: str, query: str, known: Collection[str]) -> None:
        self._uri = uri
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise UsageError(
                f"The part after '?' in {uri!r} cannot be read: {error}.",
                "Write it as key=value&key=value.",
            ) from error
        self._values = dict(pairs)
        for key in self._values:
            if key not in known:
                raise UsageError(
                    f"The link {uri!r} has an unknown key '{key}'.",
                    f"Known here are: {', '.join(sorted(known))}.",
                )
        if len(self._values) != len(pairs):
            raise UsageError(f"The link {uri!r} has a key twice.", "Write each key once.")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str = "") -> str:
        value = self._values.get(key, default)
        if key in self._values and not value:
            raise UsageError(
                f"'{key}' in the link {self._uri!r} is empty.", f"Give '{key}' a value."
            )
        return value

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """The number under `key`; without a default the key must be there."""
        wanted = f"Write {key}= with a number from {_show(low)} to {_show(high)}."
        text = self._values.get(key)
        if text is None:
            if default is not None:
                return default
            raise UsageError(f"The link {self._uri!r} lacks '{key}'.", wanted)
        if not _NUMBER.fullmatch(text):
            raise UsageError(
                f"'{key}={text}' in the link {self._uri!r} is not a number.",
                f"{wanted} Hexadecimal begins with 0x.",
            )
        value = int(text, 16) if text[:2].lower() == "0x" else int(text)
        if not low <= value <= high:
            raise UsageError(f"'{key}={text}' in the link {self._uri!r} is out of range.", wanted)
        return value

    def flag(self, key: str) -> bool:
        return bool(self.number(key, 0, 1, 0))


def _show(number: int) -> str:
    return str(number) if number < 10 else f"0x{number:X}"


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:
        raise UsageError(
            f"The link {uri!r} cannot be read: {error}.", "Write host and port as HOST:PORT."
        ) from error
    if "://" not in uri or any(ord(letter) <= 0x20 for letter in uri):
        raise UsageError(
            f"{uri!r} is no link.", "Write one such as can://socketcan/can0?tx=0x7E0&rx=0x7E8."
        )
    if parts.fragment or "#" in uri or parts.username is not None:
        raise UsageError(
            f"The link {uri!r} has a part that links do not have ('#' or '@').", "Leave it out."
        )
    return parts


def _unknown_scheme(uri: str, scheme: str) -> UsageError:
    if scheme in _LATER:
        return UsageError(
            f"This version does not support {_LATER[scheme]} ({scheme}://).",
            "Use a can:// or doip:// link.",
        )
    return UsageError(
        f"The link {uri!r} begins with '{scheme}', which is unknown.",
        "Links begin with can://, doip:// or doip+tls://.",
    )


def _host_and_port(uri: str, parts: SplitResult, port: int) -> tuple[str, int]:
    if not parts.hostname or parts.path not in {"", "/"}:
        raise UsageError(
            f"The link {uri!r} lacks its host, or has a path behind it.",
            f"Write {parts.scheme}://HOST:PORT?key=value.",
        )
    return parts.hostname, port if parts.port is None else _port(uri, parts.port)


def _port(uri: str, port: int) -> int:
    if not 0 < port <= 0xFFFF:
        raise UsageError(f"Port {port} in the link {uri!r} is out of range.", "Use 1 to 65535.")
    return port


# can:// -----------------------------------------------------------------------------------------

_CAN_KEYS = frozenset(
    {
        "tx",
        "rx",
        "ext",
        "bitrate",
        "fd",
        "data_bitrate",
        "tx_dl",
        "stmin",
        "bs",
        "padding",
        "kernel_reads",
    }
)


def _parse_can(uri: str, parts: SplitResult) -> CanUri:
    keys = _Query(uri, parts.query, _CAN_KEYS)
    interface = parts.netloc
    channel, host, port = _can_channel(uri, interface, unquote(parts.path))
    extended = keys.flag("ext")
    top = 0x1FFF_FFFF if extended else 0x7FF
    tx, rx = _can_id(keys, "tx", top), _can_id(keys, "rx", top)
    if tx == rx:
        raise UsageError(
            f"'tx' and 'rx' in the link {uri!r} are the same identifier.",
            "tx is what the kit sends, rx what the ECU answers with.",
        )
    fd = keys.flag("fd")
    parsed = CanUri(
        text=uri,
        interface=interface,
        channel=channel,
        host=host,
        port=port,
        tx=tx,
        rx=rx,
        extended=extended,
        bitrate=_rate(keys, "bitrate"),
        fd=fd,
        data_bitrate=_rate(keys, "data_bitrate"),
        tx_dl=keys.number("tx_dl", 8, 64, 64 if fd else 8),
        stmin=keys.number("stmin", 0, 0xF9, 0),
        block_size=keys.number("bs", 0, 0xFF, 0),
        padding=keys.number("padding", 0, 0xFF) if "padding" in keys else None,
        kernel_reads=keys.flag("kernel_reads"),
    )
    _check_combination(parsed)
    return parsed


def _can_id(keys: _Query, key: str, top: int) -> int:
    try:
        return keys.number(key, 0, top)
    except UsageError as error:
        if top == 0x7FF and "out of range" in error.what:
            raise UsageError(error.what, f"{error.next_step} 29-bit ones need ext=1.") from error
        raise


def _rate(keys: _Query, key: str) -> int:
    return keys.number(key, 5_000, 20_000_000) if key in keys else 0


def _check_combination(can: CanUri) -> None:
    """Keys that are right alone and wrong together."""
    problem = next((text for wrong, text in _combination_problems(can) if wrong), None)
    if problem is not None:
        what, next_step = problem
        raise UsageError(f"{what} in the link {can.text!r}.", next_step)


def _combination_problems(can: CanUri) -> tuple[tuple[bool, tuple[str, str]], ...]:
    fd_lengths = ", ".join(map(str, _FD_LENGTHS))
    return (
        (
            0x80 <= can.stmin <= 0xF0,
            (
                f"'stmin=0x{can.stmin:02X}' is a reserved value",
                "Use 0x00 to 0x7F (ms) or 0xF1 to 0xF9 (100 to 900 µs).",
            ),
        ),
        (
            can.fd and can.interface not in _FD_INTERFACES,
            (f"'fd=1' is not possible with {can.interface}", "Use socketcan for CAN FD."),
        ),
        (
            not can.fd and (can.tx_dl != 8 or bool(can.data_bitrate)),
            ("'tx_dl' and 'data_bitrate' belong to CAN FD", "Add fd=1 or leave them out."),
        ),
        (
            can.tx_dl not in _FD_LENGTHS,
            (f"'tx_dl={can.tx_dl}' is no CAN FD frame length", f"Use one of {fd_lengths}."),
        ),
        (
            can.kernel_reads and can.interface != "socketcan",
            (f"'kernel_reads=1' is not possible with {can.interface}", "Leave it out."),
        ),
        (
            can.interface == "slcan" and not can.bitrate,
            ("slcan needs 'bitrate'", "Write bitrate= with the bit rate of the bus, in bit/s."),
        ),
    )


def _can_channel(uri: str, interface: str, path: str) -> tuple[str, str, int]:
    """What stands between interface and '?', as (channel, host, port)."""
    rest = path.removeprefix("/")
    if interface in {"socketcan", "virtual"} and re.fullmatch(r"[^/\s]{1,64}", rest):
        return rest, "", 0
    if interface == "slcan" and rest:
        return f"/{rest}", "", 0
    if interface == "socketcand" and (
        found := re.fullmatch(r"([^/:\s]+):([0-9]{1,5})/([^/\s]{1,16})", rest)
    ):
        return found[3], found[1], _port(uri, int(found[2]))
    if interface == "udp_multicast" and (
        found := re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[0-9.]+)(?::([0-9]{1,5}))?", rest)
    ):
        return found[1].strip("[]"), "", _port(uri, int(found[2])) if found[2] else 0
    raise UsageError(
        f"The link {uri!r} does not name a CAN interface and its channel.",
        "Write can://socketcan/can0, can://socketcand/HOST:PORT/can0, can://slcan/dev/ttyACM0, "
        "can://virtual/NAME or can://udp_multicast/GROUP.",
    )


# doip:// ----------------------------------------------------------------------------------------


def _parse_doip(uri: str, parts: SplitResult) -> DoipUri:
    tls = parts.scheme == "doip+tls"
    known = {"target", "source", "activation", "version"}
    keys = _Query(uri, parts.query, known | {"ca", "server_name"} if tls else known)
    host, port = _host_and_port(uri, parts, DOIP_TLS_PORT if tls else DOIP_PORT)
    if tls and "ca" not in keys:
        raise UsageError(
            f"The link {uri!r} lacks 'ca'.",
            "Write ca= with the PEM file of the authority that signed the vehicle's certificate.",
        )
    target, source = keys.number("target", 0, 0xFFFF), keys.number("source", 0, 0xFFFF)
    if target == source:
        raise UsageError(
            f"'target' and 'source' in the link {uri!r} are the same address.",
            "target is the ECU, source the kit.",
        )
    return DoipUri(
        text=uri,
        host=host,
        port=port,
        tls=tls,
        target=target,
        source=source,
        activation=keys.number("activation", 0, 0xFF, 0x00),
        version=keys.number("version", 0x01, 0xFF, 0x02),
        ca=Path(keys.text("ca")) if tls else None,
        server_name=keys.text("server_name", host),
    )
