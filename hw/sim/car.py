"""The simulated car put together: `python -m hw.sim`, `fieldkit sim`.

Prints one JSON line with its links when it is ready, and runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw.sim.battery import Battery
from hw.sim.canbus import BITRATE, BUS_NAME, Bus, CanNode, Interface, SocketcandServer
from hw.sim.control import Control
from hw.sim.doip import Gateway, Identification
from hw.sim.ecu import Ecu, Timing
from hw.sim.fleet import FLEET, GATEWAY, TESTER_ADDRESS, EcuDefinition, limited
from hw.sim.log import Requests
from hw.sim.registers import RegisterFile


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the car; returns the exit status."""
    options = _parser().parse_args(arguments)
    # can-isotp warns of each message that its sender left unfinished, which is what a gate does.
    logging.getLogger("isotp").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        if options.folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="fieldkit-car-")
            options.folder = Path(stack.enter_context(temporary))
        options.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(_run(options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fieldkit sim", description=__doc__)
    parser.add_argument("--can-port", type=int, default=0, help="socketcand port, 0: a free one")
    parser.add_argument("--can-interface", help="a real CAN interface that the ECUs are on as well")
    parser.add_argument("--doip-port", type=int, default=0, help="DoIP port, 0: a free one")
    parser.add_argument("--doip-tls-cert", type=Path, help="PEM certificate; serves DoIP over TLS")
    parser.add_argument("--doip-tls-key", type=Path, help="PEM key of that certificate")
    parser.add_argument("--pace", action="store_true", help="true timing of 500 kbit/s on CAN")
    parser.add_argument("--folder", type=Path, help="for sockets, log and sensor registers")
    parser.add_argument("--seed", type=int, default=1, help="of memory contents and seeds")
    parser.add_argument(
        "--memory-limit", type=int, default=0, help="bytes of a memory region; 0: as in a real one"
    )
    parser.add_argument("--erase-ms-per-sector", type=float, default=20.0)
    parser.add_argument("--program-us-per-kib", type=float, default=200.0)
    return parser


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder: Path = options.folder.resolve()
    registers = RegisterFile(folder / "ina219.registers", create=True)
    battery = Battery(registers)
    timing = Timing(options.erase_ms_per_sector / 1e3, options.program_us_per_kib / 1e6)
    rng = random.Random(options.seed)
    definitions = [*FLEET, GATEWAY]
    if options.memory_limit:
        definitions = [limited(each, options.memory_limit) for each in definitions]
    ecus = {each.name: Ecu(each, battery, timing, rng) for each in definitions}
    by_address = {ecu.definition.logical_address: ecu for ecu in ecus.values()}
    control_path = folder / "control.sock"
    requests = Requests(folder / "requests.jsonl")
    gateway = Gateway(by_address, requests)
    bus = Bus(paced=options.pace)
    control = Control(battery, registers, ecus, gateway, requests, bus.wire)
    requests.on_request = control.on_request
    for ecu in ecus.values():
        if ecu.definition.can:
            CanNode(ecu, bus, requests)  # The bus keeps it.
    servers = [await SocketcandServer(bus).serve(options.can_port)]
    if options.can_interface:
        Interface(bus, options.can_interface)
    doip, doip_port = await gateway.serve(options.doip_port)
    servers += [doip, await control.serve(control_path)]
    tls_port = 0
    if options.doip_tls_cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.doip_tls_cert, options.doip_tls_key)
        tls_server, tls_port = await gateway.serve(0, tls)
        servers.append(tls_server)
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Identification, local_addr=("127.0.0.1", doip_port)
    )
    can_port = servers[0].sockets[0].getsockname()[1]
    ready: dict[str, Any] = {
        "ecus": {
            each.name: _links(each, can_port, doip_port, paced=options.pace) for each in FLEET
        },
        "discovery": f"doip://127.0.0.1:{doip_port}",
        "doip_tls_port": tls_port,
        "sensor": f"ina219+sim://{folder / 'ina219.registers'}",
        "control": str(control_path),
        "log": str(folder / "requests.jsonl"),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await _until_stopped(stop, requests)
    udp.close()
    for server in servers:
        server.close()
    requests.close()


def _links(ecu: EcuDefinition, can_port: int, doip_port: int, *, paced: bool) -> dict[str, str]:
    links = {
        "doip": f"doip://127.0.0.1:{doip_port}?target=0x{ecu.logical_address:04X}"
        f"&source=0x{TESTER_ADDRESS:04X}"
    }
    if ecu.can is not None:
        width = 8 if ecu.can.extended else 3
        links["can"] = (
            f"can://socketcand/127.0.0.1:{can_port}/{BUS_NAME}"
            f"?tx=0x{ecu.can.tx:0{width}X}&rx=0x{ecu.can.rx:0{width}X}"
            + ("&ext=1" if ecu.can.extended else "")
            + (f"&bitrate={BITRATE}" if paced else "")
        )
    return links


async def _until_stopped(stop: asyncio.Event, requests: Requests) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)
        requests.flush()
