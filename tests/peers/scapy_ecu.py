"""An ECU that is not ours: scapy's EcuAnsweringMachine on scapy's ISO-TP and DoIP, a process.

    python -m tests.peers.scapy_ecu --folder DIR [--did F190=57464B...] [--memory 8000:4000]

prints one JSON line when ready, then runs until SIGTERM:

    {"can": "can://socketcand/...", "doip": "doip://...", "discovery": "doip://...",
     "log": "DIR/received.jsonl", "memory": "DIR/memory.bin"}

The log has one JSON line per request: {"n", "link", "request" (hex, whole), "response" (hex)}. The
memory file holds the whole region as the ECU has it; it is rewritten at transfer exit and reset.

Sessions and security levels are scapy's own state machine (EcuState). It speaks the dialect of the
kit's simulated engine: key = seed XOR A5C3F00D, erase 0xFF00, check 0x0202 (CRC-32), dependencies
0xFF01. The bus itself is `socketcand_hub`, which knows nothing of ECUs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scapy.config import conf

conf.verb = 0
conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
conf.contribs["CANSocket"] = {"use-python-can": True}

from scapy.contrib.automotive import uds, uds_ecu_states  # noqa: E402 - after its configuration
from scapy.contrib.automotive.doip import DoIP  # noqa: E402 - likewise
from scapy.contrib.automotive.ecu import EcuAnsweringMachine, EcuResponse  # noqa: E402 - likewise
from scapy.contrib.cansocket_python_can import PythonCANSocket  # noqa: E402 - likewise
from scapy.contrib.isotp.isotp_soft_socket import ISOTPSoftSocket  # noqa: E402 - likewise
from scapy.packet import Packet, Raw  # noqa: E402 - likewise
from scapy.plist import PacketList  # noqa: E402 - likewise

from tests.peers.socketcand_hub import SocketcandHub  # noqa: E402 - likewise

KEY = 0xA5C3F00D
TX, RX = 0x7E0, 0x7E8
TARGET = 0x0010
PROGRAMMING = 0x02
CAN_BLOCK, DOIP_BLOCK = 0x0FFE, 0xFFFE
DEFAULT_DIDS = {
    0xF190: b"SCAPY000000000001",
    0xF188: b"SCAPY-SW",
    0xF191: b"SCAPY-HW",
    0xF18C: b"SCAPY-0001",
}

Answer = Callable[[Packet, Packet], bool]

# Loading this is what teaches scapy's EcuState about sessions and security levels.
STATES = uds_ecu_states


class Memory:
    """One flash region: erased to 0xFF, written once."""

    def __init__(self, address: int, size: int, file: Path) -> None:
        self.address, self.size, self._file = address, size, file
        self.data = bytearray(b"\x00" * size)
        self.save()

    def holds(self, address: int, length: int) -> bool:
        return self.address <= address and address + length <= self.address + self.size

    def erase(self, address: int, length: int) -> None:
        at = address - self.address
        self.data[at : at + length] = b"\xff" * length

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.data[address - self.address : address - self.address + length])

    def write(self, address: int, data: bytes) -> None:
        self.data[address - self.address : address - self.address + len(data)] = data

    def save(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(self.data)
        fresh.replace(self._file)


class Log:
    """What the ECU received and answered, in order, over all links."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("w", encoding="ascii", buffering=1)
        self._lock = threading.Lock()
        self._count = 0

    def add(self, link: str, request: bytes, response: bytes) -> None:
        with self._lock:
            self._count += 1
            entry = {
                "n": self._count,
                "link": link,
                "request": request.hex(),
                "response": response.hex(),
            }
            self._stream.write(json.dumps(entry) + "\n")


def address_and_size(request: bytes) -> tuple[int, int]:
    """What follows an addressAndLengthFormatIdentifier."""
    size_width, address_width = request[0] >> 4, request[0] & 0x0F
    address = int.from_bytes(request[1 : 1 + address_width], "big")
    size = request[1 + address_width : 1 + address_width + size_width]
    return address, int.from_bytes(size, "big")


class ScapyEcu(EcuAnsweringMachine):
    """scapy's answering machine with the answers of one ECU on one link."""

    function_name = "ScapyEcu"

    def set_up(
        self, link: str, block: int, memory: Memory, log: Log, dids: dict[int, bytes]
    ) -> None:
        # scapy's __setattr__ sends plain attributes into its option tables.
        self.__dict__.update(
            link=link, block=block, memory=memory, log=log, dids=dict(dids), seed=b"", transfer=None
        )
        self.optam1["_supported_responses"] = self._responses()

    def is_request(self, req: Packet) -> bool:
        """TesterPresent with suppressed answer is heard and not answered."""
        if bytes(req) == b"\x3e\x80":
            self.log.add(self.link, bytes(req), b"")
            return False
        return isinstance(req, uds.UDS)

    def make_reply(self, req: Packet) -> PacketList:
        reply = super().make_reply(req)
        self.log.add(self.link, bytes(req), bytes(reply[-1]))
        return reply

    # Each function below may fill in the answer's fields and says whether it is the one.

    def _responses(self) -> list[EcuResponse]:
        positive: list[tuple[Packet, Answer]] = [
            (uds.UDS() / uds.UDS_DSCPR(), self._session),
            (uds.UDS() / uds.UDS_ERPR(), self._reset),
            (uds.UDS() / uds.UDS_TPPR(), lambda _, req: req.service == 0x3E),
            (uds.UDS() / uds.UDS_CCPR(), self._control),
            (uds.UDS() / uds.UDS_CDTCSPR(), self._dtc_setting),
            (uds.UDS() / uds.UDS_SAPR(), self._security),
            (uds.UDS() / uds.UDS_RDBIPR() / Raw(b""), self._read_did),
            (uds.UDS() / uds.UDS_RMBAPR(), self._read_memory),
            (uds.UDS() / uds.UDS_WDBIPR(), self._write_did),
            (uds.UDS() / uds.UDS_RCPR() / Raw(b"\x00"), self._routine),
            (uds.UDS() / uds.UDS_RDPR(memorySizeLen=2), self._download),
            (uds.UDS() / uds.UDS_TDPR(), self._transfer),
            (uds.UDS() / uds.UDS_RTEPR(), self._exit),
        ]
        refusal = uds.UDS() / uds.UDS_NR()
        return [
            *(EcuResponse(responses=packet, answers=answer) for packet, answer in positive),
            EcuResponse(responses=refusal, answers=self._refuse),
        ]

    def _session_now(self) -> int:
        return int(getattr(self.state, "session", 1))

    def _in(self, session: int, level: int = 0) -> bool:
        unlocked = getattr(self.state, "security_level", 0)
        return self._session_now() == session and (not level or unlocked == level)

    def _session(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x10 or req.diagnosticSessionType not in {1, 2, 3}:
            return False
        answer.diagnosticSessionType = req.diagnosticSessionType
        answer.sessionParameterRecord = struct.pack("!HH", 500, 500)
        self.__dict__["transfer"] = None
        return True

    def _reset(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x11 or req.resetType not in {1, 3}:
            return False
        answer.resetType = req.resetType
        self.memory.save()
        return True

    def _control(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x28 or self._session_now() == 1:
            return False
        answer.controlType = req.controlType
        return True

    def _dtc_setting(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x85 or self._session_now() == 1:
            return False
        answer.DTCSettingType = req.DTCSettingType
        return True

    def _security(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x27 or self._session_now() == 1:
            return False
        kind = req.securityAccessType
        if kind % 2:
            self.__dict__["seed"] = os.urandom(3) + b"\x01"
            answer.securityAccessType = kind
            answer.securitySeed = self.seed
            return True
        key = bytes(req.securityKey)
        expected = (int.from_bytes(self.seed, "big") ^ KEY).to_bytes(4, "big") if self.seed else b""
        self.__dict__["seed"] = b""
        if not expected or key != expected:
            return False
        answer.securityAccessType = kind
        return True

    def _read_did(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x22 or len(bytes(req)) != 3:
            return False
        did = int.from_bytes(bytes(req)[1:3], "big")
        if did == 0xF186:
            value = bytes((self._session_now(),))
        elif did in self.dids:
            value = self.dids[did]
        else:
            return False
        answer.dataIdentifier = did
        answer[Raw].load = value
        return True

    def _read_memory(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x23:
            return False
        address, size = address_and_size(bytes(req)[1:])
        if not self.memory.holds(address, size) or not getattr(self.state, "security_level", 0):
            return False
        answer.dataRecord = self.memory.read(address, size)
        return True

    def _write_did(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x2E or not getattr(self.state, "security_level", 0):
            return False
        did = int.from_bytes(bytes(req)[1:3], "big")
        self.dids[did] = bytes(req)[3:]
        answer.dataIdentifier = did
        return True

    def _routine(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x31 or not self._in(PROGRAMMING, 0x12):
            return False
        raw = bytes(req)
        rid, option = int.from_bytes(raw[2:4], "big"), raw[4:]
        status = self._run(rid, option) if raw[1] == 1 else None
        if status is None:
            return False
        answer.routineControlType = 1
        answer.routineIdentifier = rid
        answer[Raw].load = status
        return True

    def _run(self, rid: int, option: bytes) -> bytes | None:
        if rid == 0xFF01:
            return b"\x00"
        if rid not in {0xFF00, 0x0202} or not option:
            return None
        address, size = address_and_size(option)
        if not self.memory.holds(address, size):
            return None
        if rid == 0xFF00:
            self.memory.erase(address, size)
            return b"\x00"
        crc = zlib.crc32(self.memory.read(address, size)).to_bytes(4, "big")
        return b"\x00" if option[-4:] == crc else b"\x01"

    def _download(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x34 or not self._in(PROGRAMMING, 0x12):
            return False
        address, size = address_and_size(bytes(req)[2:])
        if bytes(req)[1] != 0 or not self.memory.holds(address, size):
            return False
        self.__dict__["transfer"] = [address, size, 1]
        answer.maxNumberOfBlockLength = self.block.to_bytes(2, "big")
        return True

    def _transfer(self, answer: Packet, req: Packet) -> bool:
        if req.service != 0x36 or self.transfer is None:
            return False
        address, left, counter = self.transfer
        data = bytes(req)[2:]
        given = bytes(req)[1]
        if given == (counter - 1) & 0xFF and counter != 1:
            answer.blockSequenceCounter = given  # repeated: confirmed, not written twice
            return True
        if given != counter or len(data) > left or len(bytes(req)) > self.block:
            return False
        self.memory.write(address, data)
        self.__dict__["transfer"] = [address + len(data), left - len(data), (counter + 1) & 0xFF]
        answer.blockSequenceCounter = given
        return True

    def _exit(self, _answer: Packet, req: Packet) -> bool:
        if req.service != 0x37 or self.transfer is None or self.transfer[1]:
            return False
        self.__dict__["transfer"] = None
        self.memory.save()
        return True

    def _refuse(self, answer: Packet, req: Packet) -> bool:
        service = bytes(req)[0]
        answer.requestServiceId = service
        answer.negativeResponseCode = self._reason(service)
        return True

    def _reason(self, service: int) -> int:
        if service == 0x36:
            return 0x24 if self.transfer is None else 0x73
        if service == 0x27:
            return 0x35 if self._session_now() != 1 else 0x7F
        if service in {0x23, 0x2E, 0x31, 0x34} and not getattr(self.state, "security_level", 0):
            return 0x33
        known = {0x10, 0x11, 0x22, 0x23, 0x28, 0x2E, 0x31, 0x34, 0x37, 0x85}
        return 0x31 if service in known else 0x11


def serve_can(hub: SocketcandHub, make: Callable[..., ScapyEcu]) -> None:
    """scapy's ISO-TP on python-can's socketcand bus; returns never."""
    server: dict[str, Any] = {
        "interface": "socketcand",
        "host": "127.0.0.1",
        "port": hub.port,
        "channel": "can0",
    }
    bus = PythonCANSocket(**server)
    link = ISOTPSoftSocket(bus, tx_id=RX, rx_id=TX, basecls=uds.UDS)
    make("can", CAN_BLOCK, main_socket=link)()


def serve_doip(listener: socket.socket, make: Callable[..., ScapyEcu]) -> None:
    """One tester at a time, by scapy's DoIP packets; returns never."""
    machine = make("doip", DOIP_BLOCK)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            machine.reset_state()
            try:
                while (packet := read_doip(connection)) is not None:
                    for answer in doip_answers(packet, machine):
                        connection.sendall(bytes(answer))
            except ConnectionError:
                continue


def read_doip(connection: socket.socket) -> Packet | None:
    header = read_exactly(connection, 8)
    if header is None:
        return None
    length = struct.unpack("!L", header[4:])[0]
    body = read_exactly(connection, length) if length else b""
    return None if body is None else DoIP(header + body)


def read_exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


def doip_answers(packet: Packet, machine: ScapyEcu) -> list[Packet]:
    if packet.payload_type == 0x0005:
        return [
            DoIP(
                payload_type=0x0006,
                logical_address_tester=packet.source_address,
                logical_address_doip_entity=TARGET,
                routing_activation_response=0x10,
            )
        ]
    if packet.payload_type != 0x8001:
        return [DoIP(payload_type=0, nack=1)]
    addresses: dict[str, Any] = {
        "source_address": packet.target_address,
        "target_address": packet.source_address,
    }
    if packet.target_address != TARGET:
        return [DoIP(payload_type=0x8003, nack_code=3, **addresses)]
    answers: list[Packet] = [DoIP(payload_type=0x8002, ack_code=0, **addresses)]
    request = packet[uds.UDS]
    if machine.is_request(request):
        reply = machine.make_reply(request)
        answers += [DoIP(payload_type=0x8001, **addresses) / answer for answer in reply]
    return answers


def serve_discovery(sock: socket.socket, vin: bytes) -> None:
    """Vehicle identification over UDP; returns never."""
    while True:
        datagram, peer = sock.recvfrom(4096)
        if DoIP(datagram).payload_type == 0x0001:
            answer = DoIP(
                payload_type=0x0004,
                vin=vin,
                logical_address=TARGET,
                eid=b"\x02SCAPY",
                gid=b"\x02SCAPY",
                further_action=0,
                vin_gid_status=0,
            )
            sock.sendto(bytes(answer), peer)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--did", action="append", default=[], help="F190=hex value")
    parser.add_argument("--memory", default="8000:4000", help="address:size, both hex")
    return parser.parse_args()


def main() -> None:
    given = options()
    dids = dict(DEFAULT_DIDS)
    for text in given.did:
        did, value = text.split("=")
        dids[int(did, 16)] = bytes.fromhex(value)
    address, size = (int(part, 16) for part in given.memory.split(":"))
    memory_file, log_file = given.folder / "memory.bin", given.folder / "received.jsonl"
    memory, log = Memory(address, size, memory_file), Log(log_file)

    def make(link: str, block: int, **sockets: object) -> ScapyEcu:
        ecu = ScapyEcu(basecls=uds.UDS, verbose=False, **sockets)
        ecu.set_up(link, block, memory, log, dids)
        return ecu

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    announcer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    announcer.bind(("127.0.0.1", port))
    hub = SocketcandHub()
    for body, arguments in (
        (serve_can, (hub, make)),
        (serve_doip, (listener, make)),
        (serve_discovery, (announcer, dids[0xF190])),
    ):
        threading.Thread(target=body, args=arguments, daemon=True).start()
    hub.wait_for_clients(1)
    ready = {
        "can": hub.uri(TX, RX),
        "doip": f"doip://127.0.0.1:{port}?target=0x{TARGET:04X}&source=0x0E00",
        "discovery": f"doip://127.0.0.1:{port}",
        "log": str(log_file),
        "memory": str(memory_file),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # scapy's threads never end by themselves


if __name__ == "__main__":
    # Before any thread starts, so that none of them takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
