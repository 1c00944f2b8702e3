"""The gateway speaks ISO 13400-2: byte by byte on real sockets, and with the stock client."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from doipclient.client import DoIPClient

from hw.sim.fleet import GATEWAY_ADDRESS, VIN
from tests.hw.sim.bench import ENGINE, LIMIT_S, TESTER, Wire, pack
from tests.kit import Car


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fk", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the loopback address and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated gateway")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


@pytest.fixture(scope="module")
def car(folder: Path, certificate: tuple[Path, Path]) -> Iterator[Car]:
    cert, key = certificate
    car = Car(folder / "car", "--doip-tls-cert", str(cert), "--doip-tls-key", str(key))
    yield car
    car.close()


def _port(car: Car) -> int:
    return int(car.info["discovery"].rsplit(":", 1)[1])


@pytest.fixture
def tester(car: Car) -> Iterator[Wire]:
    with Wire(_port(car)) as tester:
        yield tester


def _ask_udp(car: Car, datagram: bytes) -> tuple[int, bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(LIMIT_S)
        udp.sendto(datagram, ("127.0.0.1", _port(car)))
        answer = udp.recv(4096)
    _, _, kind, length = struct.unpack_from(">BBHI", answer)
    assert length == len(answer) - 8
    return kind, answer[8:]


# UDP ------------------------------------------------------------------------------------------


def test_the_car_identifies_itself_to_all_to_its_eid_and_to_its_vin(car: Car) -> None:
    kind, body = _ask_udp(car, pack(0x0001))
    assert kind == 0x0004
    assert body[:17] == VIN
    assert body[17:19] == GATEWAY_ADDRESS.to_bytes(2, "big")
    assert len(body) == 17 + 2 + 6 + 6 + 2
    eid = body[19:25]
    assert _ask_udp(car, pack(0x0002, eid)) == (kind, body)
    assert _ask_udp(car, pack(0x0003, VIN)) == (kind, body)


def test_another_cars_vin_is_not_answered(car: Car) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(LIMIT_S)
        udp.sendto(pack(0x0003, b"X" * 17), ("127.0.0.1", _port(car)))
        udp.sendto(pack(0x4003), ("127.0.0.1", _port(car)))
        assert udp.recv(4096)[2:4] == b"\x40\x04"


def test_entity_status_and_power_mode_are_told(car: Car) -> None:
    kind, body = _ask_udp(car, pack(0x4001))
    node_type, sockets, _open, largest = struct.unpack(">BBBI", body)
    assert (kind, node_type) == (0x4002, 0)
    assert sockets >= 1
    assert largest >= 0xFFFE + 4
    assert _ask_udp(car, pack(0x4003)) == (0x4004, b"\x01")


def test_an_unknown_kind_of_datagram_is_refused(car: Car) -> None:
    assert _ask_udp(car, pack(0x7777)) == (0x0000, b"\x01")


# TCP ------------------------------------------------------------------------------------------


def test_routing_is_activated_and_a_message_is_acknowledged_and_answered(
    car: Car, tester: Wire
) -> None:
    assert tester.activate() == 0x10
    ack, answer = tester.ask(b"\x3e\x00")
    addresses = struct.pack(">HH", ENGINE, TESTER)
    assert ack == (0x8002, addresses + b"\x00")
    assert answer == (0x8001, addresses + b"\x7e\x00")
    assert car.log()[-1] == "3e00"


@pytest.mark.parametrize(("source", "activation", "code"), [(0x0DFF, 0, 0x00), (TESTER, 9, 0x06)])
def test_an_activation_that_is_not_allowed_is_refused_and_the_socket_closed(
    tester: Wire, source: int, activation: int, code: int
) -> None:
    assert tester.activate(source, activation) == code
    assert tester.hear() == (-1, b"")


def test_without_activation_nothing_reaches_an_ecu(car: Car, tester: Wire) -> None:
    before = car.log()
    heard = tester.ask(b"\x3e\x00")
    assert heard == [(0x8003, struct.pack(">HHB", ENGINE, TESTER, 0x02))]
    assert car.log() == before


def test_an_unknown_target_and_a_foreign_source_are_refused(car: Car, tester: Wire) -> None:
    tester.activate()
    assert tester.ask(b"\x3e\x00", 0x0BAD)[0] == (
        0x8003,
        struct.pack(">HHB", 0x0BAD, TESTER, 0x03),
    )
    before = car.log()
    tester.say(0x8001, struct.pack(">HH", 0x0E55, ENGINE) + b"\x3e\x00")
    assert tester.hear() == (0x8003, struct.pack(">HHB", ENGINE, 0x0E55, 0x02))
    assert car.log() == before


def test_a_second_tester_with_the_same_address_is_refused_while_the_first_lives(
    car: Car, tester: Wire
) -> None:
    assert tester.activate() == 0x10
    with Wire(_port(car)) as second:
        second.say(0x0005, struct.pack(">HBI", TESTER, 0, 0))
        assert tester.hear() == (0x0007, b"")
        tester.say(0x0008, struct.pack(">H", TESTER))
        kind, body = second.hear()
        assert (kind, body[4]) == (0x0006, 0x03)
    assert tester.ask(b"\x3e\x00")[1][1][4:] == b"\x7e\x00"


def test_a_second_tester_takes_over_from_one_that_does_not_answer(car: Car, tester: Wire) -> None:
    assert tester.activate() == 0x10
    with Wire(_port(car)) as second:
        assert second.activate() == 0x10
        assert second.ask(b"\x3e\x00")[1][1][4:] == b"\x7e\x00"
        assert tester.hear() == (0x0007, b"")
        try:
            closed = tester.hear() == (-1, b"")
        except ConnectionResetError:
            closed = True
    assert closed


def test_a_wrong_pattern_closes_the_socket(tester: Wire) -> None:
    tester.socket.sendall(b"\x02\x02\x00\x05\x00\x00\x00\x00")
    assert tester.hear() == (0x0000, b"\x00")
    assert tester.hear() == (-1, b"")


def test_an_unknown_kind_is_refused_and_the_socket_stays(tester: Wire) -> None:
    tester.say(0x7777, b"whatever")
    assert tester.hear() == (0x0000, b"\x01")
    assert tester.activate() == 0x10


def test_a_message_beyond_the_limit_is_refused(tester: Wire) -> None:
    tester.socket.sendall(struct.pack(">BBHI", 0x02, 0xFD, 0x8001, 0xFFFFFFFF))
    assert tester.hear() == (0x0000, b"\x02")


def test_a_long_message_arrives_whole_in_any_pieces(car: Car, tester: Wire) -> None:
    tester.activate()
    whole = pack(0x8001, struct.pack(">HH", TESTER, ENGINE) + b"\x22\xf1\x90" * 1)
    for at in range(0, len(whole), 3):
        tester.socket.sendall(whole[at : at + 3])
    assert tester.hear()[0] == 0x8002
    assert tester.hear()[1][4:] == b"\x62\xf1\x90" + VIN


def test_the_gateway_itself_answers_identification(tester: Wire) -> None:
    tester.activate()
    assert tester.ask(b"\x22\xf1\x90", GATEWAY_ADDRESS)[1][1][4:] == b"\x62\xf1\x90" + VIN


def test_a_silent_gateway_answers_nothing_until_it_wakes(car: Car, tester: Wire) -> None:
    tester.activate()
    before = car.log()
    car.do("gateway", awake=False)
    tester.say(0x8001, struct.pack(">HH", TESTER, ENGINE) + b"\x3e\x00")
    tester.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        tester.hear()
    car.do("gateway", awake=True)
    tester.socket.settimeout(LIMIT_S)
    assert tester.ask(b"\x22\xf1\x90")[1][1][4:7] == b"\x62\xf1\x90"
    assert car.log() == [*before, "22f190"]


def test_the_same_car_is_served_over_tls(car: Car, certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with Wire(car.info["doip_tls_port"], context) as tester:
        assert tester.activate() == 0x10
        assert tester.ask(b"\x22\xf1\x90")[1][1][4:] == b"\x62\xf1\x90" + VIN


def test_the_stock_client_is_served(car: Car) -> None:
    stock: Any = DoIPClient  # has no types
    client = stock(
        "127.0.0.1", ENGINE, tcp_port=_port(car), udp_port=_port(car), auto_reconnect_tcp=False
    )
    try:
        client.send_diagnostic(b"\x22\xf1\x90")
        assert bytes(client.receive_diagnostic(LIMIT_S)) == b"\x62\xf1\x90" + VIN
        assert client.request_vehicle_identification().vin.encode() == VIN
        assert client.request_diagnostic_power_mode().diagnostic_power_mode == 1
    finally:
        client.close()
