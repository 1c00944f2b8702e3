"""DoipLink against an entity that the test scripts message by message, over real sockets."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hw.errors import UsageError
from hw.gate.errors import WriteHeld
from hw.links import LinkError, LinkLost, NegativeResponse, NoAnswer, discover, doip, open_link
from tests.hw.links.support import SHORT, TIMING, ReadGate, WriteGate, running

TARGET, SOURCE = 0x0010, 0x0E00
DID = bytes.fromhex("22f190")


def message(kind: int, payload: bytes, version: int = 2) -> bytes:
    return struct.pack("!BBHL", version, 0xFF ^ version, kind, len(payload)) + payload


def diagnostic(payload: bytes, source: int = TARGET, target: int = SOURCE) -> bytes:
    return message(0x8001, struct.pack("!HH", source, target) + payload)


ACK = message(0x8002, struct.pack("!HHB", TARGET, SOURCE, 0))
ACTIVATED = struct.pack("!HHBL", SOURCE, TARGET, 0x10, 0)


class Entity:
    """A DoIP entity for one connection at a time; `react(payload)` gives the bytes to send."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port: int = self.listener.getsockname()[1]
        self.activation = message(0x0006, ACTIVATED)
        self.react: Callable[[bytes], bytes] = lambda request: (
            ACK + diagnostic(bytes((request[0] + 0x40,)) + request[1:3])
        )
        self.received: list[tuple[int, bytes]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.context: ssl.SSLContext | None = None
        self.connection: socket.socket | None = None
        self.hear = True
        self.gone = threading.Event()

    def uri(self, more: str = "") -> str:
        return f"doip://127.0.0.1:{self.port}?target=0x0010&source=0x0E00{more}"

    def serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                plain, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            try:
                connection = (
                    self.context.wrap_socket(plain, server_side=True) if self.context else plain
                )
            except OSError:
                plain.close()
                continue
            with connection:
                self.connection = connection
                connection.settimeout(0.02)
                self._talk(connection, stop)
            self.gone.set()

    def _talk(self, connection: socket.socket, stop: threading.Event) -> None:
        buffer = b""
        while not stop.is_set():
            if not self.hear:
                stop.wait(0.02)
                continue
            try:
                data = connection.recv(1 << 20)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            buffer += data
            while len(buffer) >= 8:
                _, _, kind, length = struct.unpack_from("!BBHL", buffer)
                if len(buffer) < 8 + length:
                    break
                payload, buffer = buffer[8 : 8 + length], buffer[8 + length :]
                self.received.append((kind, payload))
                if kind == 0x0005:
                    connection.sendall(self.activation)
                elif kind == 0x8001:
                    self.requests.append(payload[4:])
                    connection.sendall(self.react(payload[4:]))


@pytest.fixture
def entity() -> Iterator[Entity]:
    made = Entity()
    with made.listener, running(made.serve):
        yield made


def test_activation_request_acknowledge_and_answer(entity: Entity) -> None:
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        assert link.request(DID) == bytes.fromhex("62f190")
    assert entity.received[0] == (0x0005, struct.pack("!HBL", SOURCE, 0, 0))
    assert entity.received[1] == (
        0x8001,
        struct.pack("!HH", TARGET, SOURCE)[2:] + b"\x00\x10" + DID,
    )


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (0x00, "DeniedUnknownSourceAddress"),
        (0x01, "DeniedAllSocketsRegisteredActive"),
        (0x03, "DeniedSARegistered"),
        (0x06, "DeniedUnsupportedActivationType"),
        (0x07, "DeniedRequiresTLS"),
        (0x11, "SuccessConfirmationRequired"),
        (0xA5, "reserved"),
    ],
)
def test_denied_activation_says_why(entity: Entity, code: int, named: str) -> None:
    entity.activation = message(0x0006, struct.pack("!HHBL", SOURCE, TARGET, code, 0))
    with pytest.raises(LinkError, match=named) as refused:
        open_link(entity.uri(), ReadGate(), TIMING)
    assert refused.value.next_step
    assert entity.requests == []


def test_activation_type_and_version_are_those_of_the_uri(entity: Entity) -> None:
    with open_link(entity.uri("&activation=0xE1&version=3"), ReadGate(), TIMING):
        pass
    assert entity.received[0] == (0x0005, struct.pack("!HBL", SOURCE, 0xE1, 0))


@pytest.mark.parametrize("activation", [b"", message(0x0006, b"\x0e\x00"), b"HTTP/1.1 200 OK\r\n"])
def test_an_entity_that_does_not_activate_is_given_up_in_time(
    entity: Entity, activation: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doip, "CONTROL_LIMIT_S", 0.1)
    entity.activation = activation
    with pytest.raises(LinkLost):
        open_link(entity.uri(), ReadGate(), TIMING)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (0x02, "InvalidSourceAddress"),
        (0x03, "UnknownTargetAddress"),
        (0x04, "DiagnosticMessageTooLarge"),
        (0x05, "OutOfMemory"),
        (0x06, "TargetUnreachable"),
        (0x07, "UnknownNetwork"),
        (0x08, "TransportProtocolError"),
        (0xEE, "reserved"),
    ],
)
def test_a_negative_acknowledge_says_why_and_the_link_goes_on(
    entity: Entity, code: int, named: str
) -> None:
    good = entity.react
    nack = message(0x8003, struct.pack("!HHB", TARGET, SOURCE, code) + DID)
    entity.react = lambda _: nack
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        with pytest.raises(LinkError, match=named) as refused:
            link.request(DID)
        assert refused.value.next_step
        entity.react = good
        # Not passed on means that no answer is owed: the next request goes out at once.
        assert link.request(DID) == bytes.fromhex("62f190")
    assert entity.requests == [DID, DID]


def test_alive_checks_are_answered_in_a_request_and_while_waiting(entity: Entity) -> None:
    alive = message(0x0007, b"")
    entity.react = lambda _: alive + ACK + alive + diagnostic(bytes.fromhex("62f190"))
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        link.request(DID)
        assert entity.connection is not None
        entity.connection.sendall(alive)
        link.attend(0.05)
        link.request(DID)
    assert entity.gone.wait(5)  # it has read all that we sent
    answers = [payload for kind, payload in entity.received if kind == 0x0008]
    assert answers == [struct.pack("!H", SOURCE)] * 5


def test_pending_busy_refusal_over_doip(entity: Entity) -> None:
    answers = iter(
        [
            diagnostic(bytes.fromhex("7f3121")),
            diagnostic(bytes.fromhex("7f3178")) * 3 + diagnostic(bytes.fromhex("7101ff0000")),
            diagnostic(bytes.fromhex("7f3131")),
        ]
    )
    entity.react = lambda _: ACK + next(answers)
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        assert link.request(bytes.fromhex("3101ff00")).hex() == "7101ff0000"
        with pytest.raises(NegativeResponse) as refused:
            link.request(bytes.fromhex("3101ff00"))
    assert refused.value.nrc == 0x31


def test_what_others_say_is_not_for_us(entity: Entity) -> None:
    entity.react = lambda _: (
        diagnostic(b"\x62\xf1\x90\x01", source=0x0099)
        + diagnostic(b"\x62\xf1\x90\x02", target=0x0E01)
        + message(0x8002, struct.pack("!HHB", 0x0099, SOURCE, 0))
        + message(0x4004, b"\x01")
        + ACK
        + diagnostic(b"")
        + diagnostic(b"\x62\xf1\x90\x03")
    )
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        assert link.request(DID) == b"\x62\xf1\x90\x03"


def test_messages_in_pieces_and_long_ones(entity: Entity) -> None:
    body = bytes(range(256)) * 1000  # 256,000 bytes: longer than the buffer
    block = b"\x36\x01" + bytes(range(256)) * 400
    entity.react = lambda _: ACK + diagnostic(b"\x76\x01" + body)
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        for _ in range(3):
            assert link.request(block) == b"\x76\x01" + body
    assert entity.requests == [block] * 3


def test_a_write_is_asked_about_once_per_message_and_not_sent_when_refused(entity: Entity) -> None:
    gate = WriteGate(refuse_at=0)
    block = b"\x36\x01" + bytes(60_000)
    with open_link(entity.uri(), gate, TIMING) as link:
        with pytest.raises(WriteHeld):
            link.request(block)
        with pytest.raises(WriteHeld):
            link.notify(b"\x85\x82")
        gate.refuse_at = None
        assert link.request(block)[:2] == b"\x76\x01"
        assert gate.asked == 1
    assert entity.requests == [block]


def test_a_message_is_capped_to_ten_milliseconds_of_wire(entity: Entity) -> None:
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        assert (link.max_request_bytes + 12) * 8 / 100e6 == pytest.approx(0.010)
        with pytest.raises(UsageError, match="block length"):
            link.request(bytes(link.max_request_bytes + 1))
    assert entity.requests == []


def test_silence_of_the_ecu_is_no_answer_and_the_late_one_is_thrown_away(entity: Entity) -> None:
    late = threading.Event()

    def react(request: bytes) -> bytes:
        if len(entity.requests) > 1:
            return ACK + diagnostic(b"\x62\xf1\x90\x02")
        threading.Thread(target=answer_late).start()
        return ACK

    def answer_late() -> None:
        late.wait(5)
        assert entity.connection is not None
        entity.connection.sendall(diagnostic(b"\x62\xf1\x90\x01"))

    entity.react = react
    with open_link(entity.uri(), ReadGate(), SHORT) as link:
        with pytest.raises(NoAnswer):
            link.request(DID)
        late.set()
        assert link.request(DID) == b"\x62\xf1\x90\x02"


def test_no_acknowledge_is_a_lost_link_and_nothing_is_sent_again(
    entity: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doip, "ACKNOWLEDGE_LIMIT_S", 0.1)
    entity.react = lambda _: b""
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        with pytest.raises(LinkLost, match="acknowledged"):
            link.request(DID)
        with pytest.raises(LinkLost):
            link.request(DID)
        assert entity.gone.wait(5)
    assert entity.requests == [DID]
    assert entity.connections == 1


def test_a_connection_that_the_entity_closes_is_lost(entity: Entity) -> None:
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        assert entity.connection is not None
        entity.connection.shutdown(socket.SHUT_RDWR)
        with pytest.raises(LinkLost, match=r"closed|pipe|reset"):
            link.request(DID)
    assert entity.connections == 1


def test_a_half_open_connection_is_found_in_bounded_time(
    entity: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doip, "ACKNOWLEDGE_LIMIT_S", 0.1)
    monkeypatch.setattr(doip, "SEND_LIMIT_S", 0.1)
    with open_link(entity.uri(), ReadGate(), TIMING) as link:
        entity.hear = False
        block = b"\x36\x01" + bytes(100_000)
        with pytest.raises(LinkLost):
            link.request(block)
    assert entity.connections == 1


@pytest.mark.parametrize("cut", [9, 3])
def test_a_message_that_breaks_off_is_a_lost_link(
    entity: Entity, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doip, "MESSAGE_LIMIT_S", 0.1)
    entity.react = lambda _: ACK + diagnostic(bytes(20))[:cut]
    with (
        open_link(entity.uri(), ReadGate(), TIMING) as link,
        pytest.raises(LinkLost, match="broke off"),
    ):
        link.request(DID)


@pytest.mark.parametrize(
    "garbage",
    [bytes(16), b"\x02\xfd\x80\x01\xff\xff\xff\xff", b"\x02\x02\x80\x01\x00\x00\x00\x05"],
)
def test_what_is_not_doip_ends_the_link(entity: Entity, garbage: bytes) -> None:
    entity.react = lambda _: garbage
    with (
        open_link(entity.uri(), ReadGate(), TIMING) as link,
        pytest.raises(LinkLost, match="not DoIP"),
    ):
        link.request(DID)


@pytest.mark.parametrize(
    ("code", "kind", "named"),
    [
        (0x00, LinkLost, "IncorrectPatternFormat"),
        (0x01, LinkLost, "UnknownPayloadType"),
        (0x02, LinkError, "MessageTooLarge"),
        (0x03, LinkError, "OutOfMemory"),
        (0x77, LinkLost, "reserved"),
    ],
)
def test_generic_refusals_say_why(
    entity: Entity, code: int, kind: type[LinkError], named: str
) -> None:
    entity.react = lambda _: message(0x0000, bytes((code,)))
    with open_link(entity.uri(), ReadGate(), TIMING) as link, pytest.raises(kind, match=named):
        link.request(DID)


def test_nobody_there_is_said_at_opening(free_port: int) -> None:
    with pytest.raises(LinkLost, match="refused") as refused:
        open_link(f"doip://127.0.0.1:{free_port}?target=1&source=2", ReadGate(), TIMING)
    assert "cable" in refused.value.next_step


# TLS ----------------------------------------------------------------------------------------------


class Authority:
    """A certificate authority made for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._folder = folder
        root = self._sign(self._name, self._key.public_key(), is_ca=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        is_ca: bool = False,
        valid_days: int = 30,
    ) -> x509.Certificate:
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=60)
        identity = self._key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=60 + valid_days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(identity), critical=False
            )
        )
        if is_ca:
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        else:
            names: list[x509.GeneralName] = [
                x509.DNSName("gateway.vehicle"),
                x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server(self, valid_days: int = 30) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
        certificate = self._sign(name, key.public_key(), valid_days=valid_days)
        file = self._folder / f"server{valid_days}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@contextmanager
def secure_entity(context: ssl.SSLContext) -> Iterator[Entity]:
    made = Entity()
    made.context = context
    with made.listener, running(made.serve):
        yield made


def tls_uri(entity: Entity, ca: Path, more: str = "") -> str:
    return entity.uri(f"&ca={ca}{more}").replace("doip://", "doip+tls://")


def test_tls_with_the_vehicles_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "vehicle")
    block = b"\x36\x01" + bytes(60_000)
    with secure_entity(authority.server()) as entity:
        for more in ("", "&server_name=gateway.vehicle"):
            uri = tls_uri(entity, authority.file, more)
            with open_link(uri, WriteGate(), TIMING) as link:
                assert link.request(DID) == bytes.fromhex("62f190")
                assert link.request(block)[:2] == b"\x76\x01"
                link.attend(0.01)
        assert entity.requests == [DID, block] * 2


def test_tls_with_another_authority_name_or_time_is_refused(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "vehicle"), Authority(tmp_path, "other")
    with secure_entity(authority.server()) as entity:
        for uri in (
            tls_uri(entity, other.file),
            tls_uri(entity, authority.file, "&server_name=somebody.else"),
        ):
            with pytest.raises(LinkLost, match="verify failed"):
                open_link(uri, ReadGate(), TIMING)
        with pytest.raises(LinkError, match="nosuch"):
            open_link(tls_uri(entity, tmp_path / "nosuch.pem"), ReadGate(), TIMING)
    with (
        secure_entity(authority.server(valid_days=-1)) as entity,
        pytest.raises(LinkLost, match="expired"),
    ):
        open_link(tls_uri(entity, authority.file), ReadGate(), TIMING)
    assert entity.received == []


# Discovery ----------------------------------------------------------------------------------------


def identification(address: int, vin: bytes = b"WFKZZZ00000000001", *, sync: bool = True) -> bytes:
    body = vin + struct.pack("!H", address) + bytes.fromhex("0200000000ab") + bytes(6) + b"\x00"
    return message(0x0004, body + (b"\x00" if sync else b""))


@contextmanager
def announcer(*answers: bytes) -> Iterator[tuple[int, list[bytes]]]:
    asked: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.02)

        def serve(stop: threading.Event) -> None:
            while not stop.is_set():
                try:
                    datagram, peer = sock.recvfrom(4096)
                except TimeoutError:
                    continue
                asked.append(datagram)
                for answer in answers:
                    sock.sendto(answer, peer)

        with running(serve):
            yield sock.getsockname()[1], asked


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doip, "CONTROL_LIMIT_S", 0.3)
    monkeypatch.setattr(doip, "ANNOUNCE_SPREAD_S", 0.1)


@pytest.mark.usefixtures("quick")
def test_entities_that_answer_are_found_and_garbage_is_not() -> None:
    answers = (
        identification(0x0060, b"\xff" * 17),
        identification(0x0010, sync=False),
        identification(0x0010),
        b"",
        b"\x02\xfd\x00\x04\x00\x00\x00\x21short",
        bytes(41),
        message(0x0000, b"\x01"),
    )
    with announcer(*answers) as (port, asked):
        found = discover(f"doip://127.0.0.1:{port}?source=0x0E00")
    assert asked == [message(0x0001, b"")]
    assert [(ecu.logical_address, ecu.vin, ecu.eid) for ecu in found] == [
        (0x0010, "WFKZZZ00000000001", "0200000000ab"),
        (0x0060, "", "0200000000ab"),
    ]
    assert found[0].link == f"doip://127.0.0.1:{port}?target=0x0010&source=0x0E00"


@pytest.mark.usefixtures("quick")
def test_without_our_own_address_the_found_link_has_none() -> None:
    with announcer(identification(0x0010)) as (port, _):
        found = discover(f"doip://127.0.0.1:{port}")
    assert found[0].link == f"doip://127.0.0.1:{port}?target=0x0010"


@pytest.mark.usefixtures("quick")
def test_nobody_answering_is_an_empty_list(free_port: int) -> None:
    assert discover(f"doip://127.0.0.1:{free_port}") == []


@pytest.mark.usefixtures("quick")
def test_announcements_are_heard_when_asking_everybody(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doip, "CONTROL_LIMIT_S", 1.0)

    def announce(stop: threading.Event) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not stop.wait(0.02):
                sock.sendto(identification(0x0018), ("127.0.0.1", free_port))

    with running(announce):
        found = discover(f"doip://127.255.255.255:{free_port}")
    assert [ecu.logical_address for ecu in found] == [0x0018]
