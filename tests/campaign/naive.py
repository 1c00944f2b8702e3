"""The baseline: a flasher as people write it with the stock stack, without a gate.

udsoncan over can-isotp or doipclient. It checks nothing before, holds nothing during, and bricks
the simulated car when the supply sags at the wrong moment. It exists to be compared with.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import can
import isotp
import udsoncan
from doipclient.client import DoIPClient
from doipclient.connectors import DoIPClientUDSConnector
from udsoncan.client import Client
from udsoncan.connections import BaseConnection, PythonIsoTpConnection
from udsoncan.typing import ClientConfig

from hw.links.uri import CanUri, DoipUri, parse

KEY = bytes.fromhex("a5c3f00d")


@contextmanager
def connect(uri: str) -> Iterator[BaseConnection]:
    """A stock connection to an ECU of the simulated car."""
    parsed = parse(uri)
    if isinstance(parsed, DoipUri):
        doip = DoIPClient(  # type: ignore[no-untyped-call]  # doipclient has no types
            parsed.host,
            parsed.target,
            tcp_port=parsed.port,
            client_logical_address=parsed.source,
            auto_reconnect_tcp=False,
        )
        connector = DoIPClientUDSConnector(doip, close_connection=True)  # type: ignore[no-untyped-call]  # nor here
        with connector as connection:
            yield connection
        return
    with _can_connection(parsed) as connection:
        yield connection


@contextmanager
def _can_connection(uri: CanUri) -> Iterator[BaseConnection]:
    bus = can.Bus(interface="socketcand", host=uri.host, port=uri.port, channel=uri.channel)
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=uri.tx, rxid=uri.rx)
    stack = isotp.CanStack(bus, address=address, params={"blocksize": 0})
    try:
        with PythonIsoTpConnection(stack) as connection:
            yield connection
    finally:
        bus.shutdown()


def _client(connection: BaseConnection) -> Client:
    def key(level: int, seed: bytes, params: Any) -> bytes:
        return bytes(a ^ b for a, b in zip(seed, KEY, strict=True))

    config = dict(udsoncan.configs.default_client_config) | {
        "security_algo": key,
        "server_address_format": 32,
        "server_memorysize_format": 32,
        "request_timeout": 60,
        "p2_timeout": 2,
        "p2_star_timeout": 10,
        # It would adopt the ECU's P2, which starts before a CAN message is on the bus.
        "use_server_timing": False,
    }
    return Client(connection, config=cast(ClientConfig, config))


def flash(connection: BaseConnection, address: int, data: bytes) -> float:
    """Session, unlock, erase, download, exit, check, reset; returns seconds of the transfer."""
    with _client(connection) as client:
        location = udsoncan.MemoryLocation(address, len(data), 32, 32)
        whole = b"\x44" + address.to_bytes(4, "big") + len(data).to_bytes(4, "big")
        client.change_session(0x03)
        client.change_session(0x02)
        client.unlock_security_access(0x11)
        client.start_routine(0xFF00, whole)
        answer = client.request_download(location)
        size = answer.service_data.max_length - 2
        began = time.perf_counter()
        for number, offset in enumerate(range(0, len(data), size), start=1):
            client.transfer_data(number & 0xFF, data[offset : offset + size])
        seconds = time.perf_counter() - began
        client.request_transfer_exit()
        client.start_routine(0x0202, whole + zlib.crc32(data).to_bytes(4, "big"))
        client.start_routine(0xFF01)
        client.ecu_reset(0x01)
        return seconds
