"""A flasher that is not ours: gallia's UDS client over its DoIP transport, a process of its own.

    .venv-bench/bin/python tests/peers/gallia_flasher.py doip://HOST:PORT?target=..&source=..

It runs where gallia is installed and the kit is not (`make bench`). Each line on standard input,
{"address", "file"}, is one whole flash of the simulated engine; the answer is {"seconds"}, the time
of its transfer. gallia's CAN transports need AF_CAN sockets, so that CAN is left to others.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gallia.services.uds.core.client import UDSClient
from gallia.services.uds.core.service import NegativeResponse
from gallia.transports.base import TargetURI
from gallia.transports.doip import DoIPTransport

KEY = 0xA5C3F00D
ANSWER_LIMIT_S = 10.0
ISO_13400_2_2012 = 2


def positive(answer: Any) -> Any:
    """The answer, unless the ECU refused."""
    if isinstance(answer, NegativeResponse):
        raise RuntimeError(str(answer))  # noqa: TRY004 - it is an answer, no wrong argument
    return answer


async def flash(uds: UDSClient, address: int, data: bytes) -> float:
    """Session to reset; returns seconds of the transfer."""
    whole = b"\x44" + address.to_bytes(4, "big") + len(data).to_bytes(4, "big")
    positive(await uds.diagnostic_session_control(0x03))
    positive(await uds.diagnostic_session_control(0x02))
    seed = positive(await uds.security_access_request_seed(0x11)).security_seed
    key = (int.from_bytes(seed, "big") ^ KEY).to_bytes(4, "big")
    positive(await uds.security_access_send_key(0x12, key))
    positive(await uds.routine_control_start_routine(0xFF00, whole))
    asked = await uds.request_download(
        address, len(data), address_and_length_format_identifier=0x44
    )
    block = positive(asked).max_number_of_block_length - 2
    began = time.perf_counter()
    for number, offset in enumerate(range(0, len(data), block), start=1):
        positive(await uds.transfer_data(number & 0xFF, data[offset : offset + block]))
    seconds = time.perf_counter() - began
    positive(await uds.request_transfer_exit())
    crc = zlib.crc32(data).to_bytes(4, "big")
    positive(await uds.routine_control_start_routine(0x0202, whole + crc))
    positive(await uds.routine_control_start_routine(0xFF01))
    positive(await uds.ecu_reset(0x01))
    return seconds


def target_of(link: str) -> TargetURI:
    """gallia's words for one of our links."""
    parts = urlsplit(link)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return TargetURI(
        f"doip://{parts.netloc}?src_addr={query['source']}&target_addr={query['target']}"
        f"&activation_type=0&protocol_version={ISO_13400_2_2012}"
    )


async def serve(link: str) -> None:
    """Serve flashes until standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        transport = DoIPTransport(target_of(link))
        await transport.connect(ANSWER_LIMIT_S)
        data = Path(asked["file"]).read_bytes()
        seconds = await flash(UDSClient(transport, ANSWER_LIMIT_S), asked["address"], data)
        await transport.close()
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
