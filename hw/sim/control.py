"""The simulated car's control socket: what a test or the demo does to the car.

One JSON object per line in, one per line out: {"ok": true, ...} or {"ok": false, "error": "..."}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw import clock
from hw.sim.battery import Battery
from hw.sim.disturb import KINDS, TIMED, Disturbance, Wire
from hw.sim.doip import Gateway
from hw.sim.ecu import Ecu, Fault
from hw.sim.log import Requests
from hw.sim.registers import FAULTS, RegisterFile

Command = dict[str, Any]
GATEWAY_FAULTS = ("reset", "deaf", "alive_check")
FAULT_KINDS = ("pending", "busy", "nrc", "drop_answer", "late_answer", "wrong_counter", "reset")


class Control:
    """Carries out commands; see `handlers` for the words."""

    def __init__(
        self,
        battery: Battery,
        registers: RegisterFile,
        ecus: dict[str, Ecu],
        gateway: Gateway,
        requests: Requests,
        wire: Wire,
    ) -> None:
        self._battery, self._registers = battery, registers
        self._ecus, self._gateway, self._wire = ecus, gateway, wire
        self._requests = requests
        self._triggers: list[tuple[str, int, list[int], Callable[[], object]]] = []
        self.handlers: dict[str, Callable[[Command], Command]] = {
            "battery": self._do_battery,
            "sag": self._do_sag,
            "sensor": self._do_sensor,
            "when": self._do_when,
            "memory": self._do_memory,
            "log": self._do_log,
            "fault": self._do_fault,
            "state": self._do_state,
            "gateway": self._do_gateway,
            "wave": self._do_wave,
            "voltages": self._do_voltages,
            "wire": self._do_wire,
            "exchange": self._do_exchange,
            "lock_out": self._do_lock_out,
            "heal": self._do_heal,
        }

    def on_request(self, ecu: str, service: int) -> None:
        """Run the triggers that wait for this request."""
        for trigger in list(self._triggers):
            name, wanted, left, act = trigger
            if name == ecu and wanted == service:
                left[0] -= 1
                if left[0] <= 0:
                    self._triggers.remove(trigger)
                    act()

    def carry_out(self, command: Command) -> Command:
        """Do one command; never raises for what a test sent wrongly."""
        handler = self.handlers.get(str(command.get("do")))
        if handler is None:
            return {"ok": False, "error": f"unknown command {command.get('do')!r}"}
        try:
            return {"ok": True, **handler(command)}
        except (KeyError, TypeError, ValueError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    async def serve(self, path: Path) -> asyncio.Server:
        """Listen on the control socket."""
        return await asyncio.start_unix_server(self._client, path)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    command = json.loads(line)
                    if command.get("do") == "await":
                        await self._request_seen(command)
                        command = {"do": "log", "after": len(self._requests)}
                    answer = self.carry_out(command)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _do_battery(self, command: Command) -> Command:
        self._battery.set_open_circuit(float(command["volts"]))
        return {"volts": self._battery.volts}

    def _do_sag(self, command: Command) -> Command:
        at = clock.now()
        self._battery.sag(float(command["volts"]), float(command["for_s"]))
        return {"at": at}

    def _do_sensor(self, command: Command) -> Command:
        if command["fault"] not in FAULTS:
            raise ValueError(f"fault must be one of {FAULTS}")
        self._registers.set_fault(command["fault"], float(command.get("volts", 0.0)))
        return {}

    def _do_when(self, command: Command) -> Command:
        then, after_s = dict(command["then"]), float(command.get("after_s", 0.0))

        def act() -> None:
            if after_s:
                asyncio.get_running_loop().call_later(after_s, self.carry_out, then)
            else:
                self.carry_out(then)

        self._on_service(command, act)
        return {}

    async def _request_seen(self, command: Command) -> None:
        """Answer only once the ECU has received the service for the `count`th time."""
        seen = asyncio.Event()
        self._on_service(command, seen.set)
        await seen.wait()

    def _on_service(self, command: Command, act: Callable[[], object]) -> None:
        service, count = int(command["service"]), int(command.get("count", 1))
        self._triggers.append((self._ecu(command).definition.name, service, [count], act))

    def _do_memory(self, command: Command) -> Command:
        address, length = int(command["address"]), int(command["length"])
        ecu = self._ecu(command)
        flashes = ecu.spare[1] if command.get("spare") and ecu.spare else ecu.flashes
        for flash in flashes:
            if flash.holds(address, length):
                return {"hex": flash.read(address, length).hex()}
        raise ValueError("no region holds this range")

    def _do_log(self, command: Command) -> Command:
        self._requests.flush()
        return {"entries": self._requests.after(int(command.get("after", 0)))}

    def _do_fault(self, command: Command) -> Command:
        if command["fault"] not in FAULT_KINDS:
            raise ValueError(f"fault must be one of {FAULT_KINDS}")
        fault = Fault(
            kind=command["fault"],
            service=int(command["service"]),
            count=int(command.get("count", 1)),
            seconds=float(command.get("seconds", 0.0)),
            nrc=int(command.get("nrc", 0x10)),
        )
        self._ecu(command).faults.append(fault)
        return {}

    def _do_state(self, command: Command) -> Command:
        ecu = self._ecu(command)
        return {
            "app_valid": ecu.app_valid,
            "bricked": not ecu.app_valid,
            "in_boot": ecu.in_boot,
            "session": ecu.state.session,
            "unlocked": sorted(ecu.state.unlocked),
            "dtc_setting_off": ecu.state.dtc_setting_off,
            "communication_off": ecu.state.communication_off,
            "dids": {f"0x{did:04X}": value.hex() for did, value in ecu.dids.items()},
        }

    def _do_gateway(self, command: Command) -> Command:
        if "awake" in command:
            self._gateway.awake = bool(command["awake"])
            return {}
        fault = command["fault"]
        if fault not in GATEWAY_FAULTS:
            raise ValueError(f"fault must be one of {GATEWAY_FAULTS}")
        if fault == "deaf":
            self._gateway.deaf_until = clock.now() + float(command["for_s"])
        elif fault == "reset":
            self._gateway.drop_all()
        else:
            self._gateway.ask_alive()
        return {}

    def _do_wave(self, command: Command) -> Command:
        points = [(float(at_s), float(volts)) for at_s, volts in command["points"]]
        self._battery.wave(points, float(command["for_s"]))
        return {"at": clock.now()}

    def _do_voltages(self, _command: Command) -> Command:
        return {"changes": self._battery.history}

    def _do_wire(self, command: Command) -> Command:
        if command["fault"] not in KINDS:
            raise ValueError(f"fault must be one of {KINDS}")
        fault = Disturbance(
            command["fault"], int(command.get("count", 1)), float(command.get("chance", 1.0))
        )
        if fault.kind in TIMED:
            fault.until = clock.now() + float(command["for_s"])
        self._wire.add(fault)
        return {}

    def _do_exchange(self, command: Command) -> Command:
        dids = {int(did, 16): text.encode() for did, text in command.get("dids", {}).items()}
        self._ecu(command).exchange(dids)
        return {}

    def _do_lock_out(self, command: Command) -> Command:
        self._ecu(command).lock_out(float(command["for_s"]))
        return {}

    def _do_heal(self, _command: Command) -> Command:
        """Everything that a person at the car can put right: plug, battery, sensor, ignition."""
        self._wire.heal()
        self._gateway.awake, self._gateway.deaf_until = True, 0.0
        self._battery.set_open_circuit(13.2)
        self._registers.set_fault("none")
        return {}

    def _ecu(self, command: Command) -> Ecu:
        return self._ecus[command["ecu"]]
