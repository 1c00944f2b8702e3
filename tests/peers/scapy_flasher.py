"""A flasher that is not ours: scapy's UDS packets over its ISOTPSoftSocket, a process of its own.

    python -m tests.peers.scapy_flasher can://socketcand/HOST:PORT/can0?tx=..&rx=..

Each line on standard input, {"address", "file"}, is one whole flash of the simulated engine; the
answer is {"seconds"}, the time of its transfer. The benchmark holds the kit against it.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from scapy.config import conf

conf.verb = 0
conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
conf.contribs["CANSocket"] = {"use-python-can": True}

from scapy.contrib.automotive import uds  # noqa: E402 - after its configuration
from scapy.contrib.cansocket_python_can import PythonCANSocket  # noqa: E402 - likewise
from scapy.contrib.isotp.isotp_soft_socket import ISOTPSoftSocket  # noqa: E402 - likewise

from hw.links.uri import CanUri, parse  # noqa: E402 - scapy's configuration comes first

KEY = 0xA5C3F00D
ANSWER_LIMIT_S = 10.0


def ask(sock: Any, request: Any) -> bytes:
    """Send a request; the bytes of its positive response."""
    reply = sock.sr1(request, timeout=ANSWER_LIMIT_S, verbose=0)
    if reply is None or bytes(reply)[:1] == b"\x7f":
        raise RuntimeError(f"{request.summary()}: {bytes(reply).hex() if reply else 'no answer'}")
    return bytes(reply)


def flash(sock: Any, address: int, data: bytes) -> float:
    """Session to reset; returns seconds of the transfer."""
    whole = b"\x44" + address.to_bytes(4, "big") + len(data).to_bytes(4, "big")
    ask(sock, uds.UDS() / uds.UDS_DSC(diagnosticSessionType=0x03))
    ask(sock, uds.UDS() / uds.UDS_DSC(diagnosticSessionType=0x02))
    seed = ask(sock, uds.UDS() / uds.UDS_SA(securityAccessType=0x11))[2:]
    key = (int.from_bytes(seed, "big") ^ KEY).to_bytes(4, "big")
    ask(sock, uds.UDS() / uds.UDS_SA(securityAccessType=0x12, securityKey=key))
    ask(sock, uds.UDS(b"\x31\x01\xff\x00" + whole))
    block = int.from_bytes(ask(sock, uds.UDS(b"\x34\x00" + whole))[2:4], "big") - 2
    began = time.perf_counter()
    for number, offset in enumerate(range(0, len(data), block), start=1):
        part = data[offset : offset + block]
        transfer = uds.UDS_TD(
            blockSequenceCounter=number & 0xFF, transferRequestParameterRecord=part
        )
        ask(sock, uds.UDS() / transfer)
    seconds = time.perf_counter() - began
    ask(sock, uds.UDS() / uds.UDS_RTE())
    ask(sock, uds.UDS(b"\x31\x01\x02\x02" + whole + zlib.crc32(data).to_bytes(4, "big")))
    ask(sock, uds.UDS(b"\x31\x01\xff\x01"))
    ask(sock, uds.UDS() / uds.UDS_ER(resetType=0x01))
    return seconds


def main() -> int:
    """Serve flashes until standard input ends."""
    link = parse(sys.argv[1])
    if not isinstance(link, CanUri):
        return 64
    # scapy types each keyword as a dict; python-can takes what they are.
    where: Any = {
        "bustype": "socketcand",
        "host": link.host,
        "port": link.port,
        "channel": link.channel,
    }
    for line in sys.stdin:
        asked = json.loads(line)
        bus = PythonCANSocket(**where)
        with ISOTPSoftSocket(bus, tx_id=link.tx, rx_id=link.rx, basecls=uds.UDS) as sock:
            seconds = flash(sock, asked["address"], Path(asked["file"]).read_bytes())
        bus.close()
        print(json.dumps({"seconds": seconds}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
