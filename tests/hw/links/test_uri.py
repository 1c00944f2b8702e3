from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.errors import FieldKitError, UsageError
from hw.links.uri import CanUri, DoipUri, parse, parse_discovery

IDS = "tx=0x7E0&rx=0x7E8"


def test_every_documented_form_is_understood() -> None:
    plain = parse(f"can://socketcan/can0?bitrate=500000&{IDS}")
    assert isinstance(plain, CanUri)
    assert (plain.interface, plain.channel, plain.bitrate) == ("socketcan", "can0", 500_000)
    assert (plain.tx, plain.rx, plain.extended, plain.fd) == (0x7E0, 0x7E8, False, False)
    assert (plain.stmin, plain.block_size, plain.padding, plain.tx_dl) == (0, 0, None, 8)

    served = parse(f"can://socketcand/127.0.0.1:29536/can0?{IDS}")
    assert isinstance(served, CanUri)
    assert (served.host, served.port, served.channel) == ("127.0.0.1", 29536, "can0")

    serial = parse(f"can://slcan/dev/ttyACM0?bitrate=250000&{IDS}")
    assert isinstance(serial, CanUri)
    assert serial.channel == "/dev/ttyACM0"

    group = parse(f"can://udp_multicast/239.74.163.2:43113?{IDS}")
    assert isinstance(group, CanUri)
    assert (group.channel, group.port) == ("239.74.163.2", 43113)


def test_all_can_keys_are_carried() -> None:
    uri = parse(
        "can://socketcan/can0?tx=0x18DA40F1&rx=0x18DAF140&ext=1&fd=1&bitrate=500000"
        "&data_bitrate=2000000&tx_dl=32&stmin=0xF1&bs=8&padding=0x55&kernel_reads=1"
    )
    assert isinstance(uri, CanUri)
    assert (uri.tx, uri.rx, uri.extended) == (0x18DA40F1, 0x18DAF140, True)
    assert (uri.fd, uri.data_bitrate, uri.tx_dl) == (True, 2_000_000, 32)
    assert (uri.stmin, uri.block_size, uri.padding) == (0xF1, 8, 0x55)
    assert uri.kernel_reads


def test_doip_ports_are_the_standards_and_addresses_have_no_default() -> None:
    plain = parse("doip://192.168.0.10?target=0x0010&source=0x0E00")
    assert isinstance(plain, DoipUri)
    assert (plain.port, plain.target, plain.source) == (13400, 0x10, 0xE00)
    secure = parse("doip+tls://gw.local?target=16&source=0x0E00&ca=/etc/ca.pem")
    assert isinstance(secure, DoipUri)
    assert (secure.port, secure.ca, secure.server_name) == (3496, Path("/etc/ca.pem"), "gw.local")
    with pytest.raises(UsageError, match="source"):
        parse("doip://192.168.0.10?target=0x0010")


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("can://socketcan/can0?tx=0x7E0", "'rx'"),
        ("can://socketcan/can0", "'tx'"),
        ("can://socketcan/can0?tx=0x7E0&rx=0x7E0", "same identifier"),
        ("can://socketcan/can0?tx=0x800&rx=0x7E8", "ext=1"),
        ("can://socketcan/can0?tx=0x20000000&rx=0x7E8&ext=1", "'tx=0x20000000'"),
        ("can://socketcan/can0?tx=7E0&rx=0x7E8", "'tx=7E0'"),
        ("can://socketcan/can0?tx=-1&rx=0x7E8", "'tx=-1'"),
        (f"can://socketcan/can0?{IDS}&blocksize=8", "'blocksize'"),
        (f"can://socketcan/can0?{IDS}&tx=0x7E1", "twice"),
        (f"can://socketcan/can0?{IDS}&bs=256", "'bs=256'"),
        (f"can://socketcan/can0?{IDS}&bs=", "'bs='"),
        (f"can://socketcan/can0?{IDS}&stmin=0x80", "stmin"),
        (f"can://socketcan/can0?{IDS}&padding=0x100", "padding"),
        (f"can://socketcan/can0?{IDS}&fd=2", "fd"),
        (f"can://socketcan/can0?{IDS}&tx_dl=64", "tx_dl"),
        (f"can://socketcan/can0?{IDS}&fd=1&tx_dl=9", "tx_dl=9"),
        (f"can://socketcand/127.0.0.1:1/can0?{IDS}&fd=1", "fd=1"),
        (f"can://virtual/demo?{IDS}&kernel_reads=1", "kernel_reads"),
        (f"can://slcan/dev/ttyACM0?{IDS}", "bitrate"),
        (f"can://socketcan/can0?{IDS}&bitrate=1", "bitrate"),
        (f"can://socketcand/127.0.0.1:99999/can0?{IDS}", "99999"),
        (f"can://socketcand/127.0.0.1/can0?{IDS}", "channel"),
        (f"can://pcan/PCAN_USBBUS1?{IDS}", "channel"),
        (f"can://socketcan/?{IDS}", "channel"),
        (f"can://socketcan/can0?{IDS}#x", "'#'"),
        (f"can://socketcan/can0?{IDS}&", "twice|read|key"),
        ("doip://192.168.0.10:0?target=1&source=2", "Port 0"),
        ("doip://192.168.0.10:99999?target=1&source=2", "Port|port"),
        ("doip://?target=1&source=2", "host"),
        ("doip://10.0.0.1/x?target=1&source=2", "path"),
        ("doip://10.0.0.1?target=1&source=1", "same address"),
        ("doip://10.0.0.1?target=0x10000&source=1", "target"),
        ("doip://10.0.0.1?target=1&source=2&ca=/x", "'ca'"),
        ("doip+tls://10.0.0.1?target=1&source=2", "'ca'"),
        ("kline:///dev/ttyUSB0?init=fast&target=0x11", "K-Line"),
        ("j2534:///usr/lib/libj2534.so?abi=lp64", "J2534"),
        ("bench+i2c:///dev/i2c-1/0x50?chip=24c02", "bench"),
        ("bench+spi:///dev/spidev0.0?chip=25640", "bench"),
        ("http://example.org", "http"),
        ("can0", "can0"),
        ("", "link"),
        ("can://socketcan/can 0?tx=1&rx=2", "link"),
    ],
)
def test_a_wrong_link_is_refused_and_the_sentence_names_what_is_wrong(uri: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        parse(uri)
    assert refused.value.next_step


def test_discovery_takes_a_place_and_optionally_our_address() -> None:
    where = parse_discovery("doip://192.168.0.255?source=0x0E00")
    assert (where.host, where.port, where.source) == ("192.168.0.255", 13400, 0xE00)
    assert parse_discovery("doip://10.0.0.1:1234").source is None
    with pytest.raises(UsageError, match="announce"):
        parse_discovery("can://socketcan/can0?tx=1&rx=2")


@given(st.text(max_size=80))
def test_no_text_makes_the_parser_fail_otherwise_than_by_a_sentence(text: str) -> None:
    for uri in (text, f"can://{text}", f"can://socketcan/can0?{text}", f"doip://{text}"):
        with contextlib.suppress(FieldKitError):
            parse(uri)


@given(
    st.integers(0, 0x1FFFFFFF),
    st.integers(0, 0x1FFFFFFF),
    st.integers(0, 255),
    st.one_of(st.integers(0, 0x7F), st.integers(0xF1, 0xF9)),
)
def test_what_is_written_is_what_is_meant(tx: int, rx: int, block: int, stmin: int) -> None:
    text = f"can://virtual/x?tx=0x{tx:X}&rx={rx}&ext=1&bs={block}&stmin=0x{stmin:x}"
    if tx == rx:
        with pytest.raises(UsageError):
            parse(text)
        return
    uri = parse(text)
    assert isinstance(uri, CanUri)
    assert (uri.tx, uri.rx, uri.block_size, uri.stmin) == (tx, rx, block, stmin)
