"""The verdict on a run, from the car's own memory, log and voltage and from the records left.

`verified`, `refused` and `recovered` (aborted_recoverable, then verified) are the only good ends.
Everything else has a name in `DEFECTS`.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from msgspec import Struct

from appliance.client import Client
from hw import clock
from hw.errors import FieldKitError
from hw.gate.reads import is_read
from tests.campaign.faults import OTHER_SERIAL, Scenario
from tests.campaign.rig import Car, Handle, log_of
from tests.campaign.technician import Seen
from tests.campaign.template import (
    APPLICATION,
    CALIBRATION,
    ECU,
    MEMORY_LIMIT,
    PASSPHRASE,
    TECHNICIAN,
    Places,
)

BRICKED = "bricked"
SILENTLY_WRONG = "silently wrong"
NO_PERMIT = "write without permit"
BELOW_WINDOW = "write below the window"
LOST = "record or backup lost"
HANG = "hang"
TRACEBACK = "traceback"
WRONG_INPUT = "wrong input let pass"
UNFINISHED = "left unfinished"
LEFT_OFF = "communication or DTC setting left off"
DEFECTS = (
    BRICKED,
    SILENTLY_WRONG,
    NO_PERMIT,
    BELOW_WINDOW,
    LOST,
    HANG,
    TRACEBACK,
    WRONG_INPUT,
    UNFINISHED,
    LEFT_OFF,
)
REFUSED = ("refused", "draft", "ready")
"""States of a job that nothing was written in: a gate refused, or it never came to a write."""
HOLD_V, OVER_V = 12.0, 15.0
# A campaign shares two cores between many kits: what is judged here is that a write does not go on
# through a sag. How quick the cut is, is measured alone (`make bench`).
LATENCY_S = 0.5
CODED = "0031000a"


class Before(Struct):
    """The car before the job."""

    calibration: bytes
    application: bytes


class Verdict(Struct, kw_only=True):
    """How a run ended; `defects` is empty for a good one."""

    run: int
    outcome: str
    stated: str = ""
    defects: dict[str, str] = {}
    faults: list[str] = []
    seconds: float = 0.0
    errors: list[str] = []


def _is_write(entry: dict[str, Any]) -> bool:
    """May this request change the ECU? Unlocking for reading does not."""
    request = bytes.fromhex(entry["request"])
    for_reading = request[:1] == b"\x27" and request[1:2] in (b"\x01", b"\x02")
    return not for_reading and not is_read(request, planned=False)


def memory(car: Car, *, spare: bool = False) -> Before:
    """The flash of the ECU on the cable, or of the one that it was exchanged for."""

    def read(address: int) -> bytes:
        reply = car.do("memory", ecu=ECU, address=address, length=MEMORY_LIMIT, spare=spare)
        return bytes.fromhex(reply["hex"])

    return Before(read(CALIBRATION), read(APPLICATION))


class Judge:
    """Looks at one run after its end.

    Args:
        scenario, places, rig, car: the run.
        before: the memory that the ECU began with.
        seen: what the technician saw.
    """

    def __init__(
        self,
        scenario: Scenario,
        places: Places,
        rig: Handle,
        car: Car,
        before: Before,
        seen: Seen,
    ) -> None:
        self._scenario, self._places, self._rig, self._car = scenario, places, rig, car
        self._before, self._seen = before, seen
        self._defects: dict[str, str] = {}

    def judge(self, hang: str = "") -> Verdict:
        """The verdict; `hang` says what never ended."""
        if hang:
            self._defect(HANG, hang)
        log = self._log()
        writes = [entry for entry in log if _is_write(entry)]
        outcome = self._memory_verdict(writes)
        self._check_permit(writes)
        self._check_window(writes)
        self._check_tracebacks()
        for wrong in self._seen.wrongs:
            self._defect(WRONG_INPUT, wrong)
        if not hang:
            self._check_left_off()
            self._check_records()
        return Verdict(
            run=self._scenario.run,
            outcome="defect" if self._defects else outcome,
            stated=self._seen.stated,
            defects=self._defects,
            faults=[fault.name for fault in self._scenario.faults],
            errors=self._seen.errors,
        )

    def _defect(self, kind: str, what: str) -> None:
        self._defects.setdefault(kind, what)

    def _log(self) -> list[dict[str, Any]]:
        return [entry for entry in self._car.do("log")["entries"] if entry["ecu"] == ECU]

    # Memory against what was said -------------------------------------------------------------

    def _memory_verdict(self, writes: list[dict[str, Any]]) -> str:
        state = self._car.do("state", ecu=ECU)
        now = memory(self._car)
        untouched = now == self._before and not self._coded(state)
        planned = self._planned(now, state)
        stated = self._seen.stated
        if state["bricked"]:
            kind = SILENTLY_WRONG if stated == "verified" else BRICKED
            self._defect(kind, f"the application is not valid; the kit says {stated!r}")
        elif stated == "verified":
            if not planned:
                self._defect(SILENTLY_WRONG, "the kit says 'verified', the memory is another")
        elif not untouched and not planned:
            self._defect(BRICKED, f"the memory is neither old nor new; the kit says {stated!r}")
        elif not untouched:
            self._defect(SILENTLY_WRONG, f"the ECU was written; the kit says {stated!r}")
        elif stated not in REFUSED:
            self._defect(UNFINISHED, f"the technician is done; the kit says {stated!r}")
        elif writes:
            self._defect(NO_PERMIT, f"refused, and the ECU got {writes[0]['request']}")
        self._check_spare()
        if stated == "verified":
            return "recovered" if self._was_recovered() else "verified"
        return "refused"

    def _planned(self, now: Before, state: dict[str, Any]) -> bool:
        if now.application != self._before.application:
            return False
        if self._scenario.operation == "code":
            return self._coded(state) and now.calibration == self._before.calibration
        return now.calibration == (self._seen.payload or self._before.calibration)

    def _coded(self, state: dict[str, Any]) -> bool:
        return bool(state["dids"]["0x0600"] == CODED)

    def _check_spare(self) -> None:
        """The ECU that was on the cable by mistake must be as it was."""
        for entry in self._log():
            if entry["serial"] == OTHER_SERIAL and _is_write(entry):
                self._defect(NO_PERMIT, f"another ECU got {entry['request']}")

    def _was_recovered(self) -> bool:
        return any(event.kind == "recovered" for event in self._seen.events.values())

    # Writes against permit and voltage --------------------------------------------------------

    def _check_permit(self, writes: list[dict[str, Any]]) -> None:
        if writes and not self._seen.acknowledged_at:
            self._defect(NO_PERMIT, f"nobody acknowledged; the ECU got {writes[0]['request']}")
        early = [entry for entry in writes if entry["at"] < self._seen.acknowledged_at]
        if early:
            self._defect(NO_PERMIT, f"{early[0]['request']} came before the acknowledgment")

    def _check_window(self, writes: list[dict[str, Any]]) -> None:
        """No write message may be complete when the voltage was outside for `LATENCY_S`."""
        changes = self._car.do("voltages")["changes"]
        starts = [at for at, _ in changes]
        lies = any(fault.name == "sensor offset" for fault in self._scenario.faults)
        if lies:
            return  # Nobody at the kit can know; the ECU itself says 0x93 or loses its sector.
        for entry in writes:
            last = bisect_right(starts, entry["at"]) - 1
            first = max(bisect_right(starts, entry["at"] - LATENCY_S) - 1, 0)
            around = [volts for _, volts in changes[first : last + 1]]
            if around and all(volts < HOLD_V or volts > OVER_V for volts in around):
                self._defect(
                    BELOW_WINDOW,
                    f"{entry['request'][:8]} at {min(around):.2f} to {max(around):.2f} V",
                )

    def _check_left_off(self) -> None:
        """What the ECU was told to leave off is on again, or the kit said that it is not."""
        state = self._car.do("state", ecu=ECU)
        off = [name for name in ("dtc_setting_off", "communication_off") if state[name]]
        told = any(
            event.body.get("not_restored") or event.body.get("body", {}).get("not_restored")
            for event in self._seen.events.values()
        )
        if off and not told and self._alive_since_s() < 4.0:
            self._defect(LEFT_OFF, ", ".join(off))

    def _alive_since_s(self) -> float:
        """Seconds since the ECU last heard anything: after S3 it restores everything by itself."""
        log = self._log()
        return clock.now() - float(log[-1]["at"]) if log else 0.0

    # What the kit keeps -----------------------------------------------------------------------

    def _check_tracebacks(self) -> None:
        for name in ("hw", "appliance", "sim", "rig"):
            text = log_of(self._places, name)
            if "Traceback" in text:
                self._defect(TRACEBACK, f"{name}: {text.strip().splitlines()[-1][:300]}")

    def _check_records(self) -> None:
        """Every event that was shown is still there, and every backup that was promised opens."""
        self._rig.end()
        client = Client(self._places.run / "appliance.sock")
        try:
            client.unlock(TECHNICIAN, PASSPHRASE)
            client.job_verify(self._seen.job)
            kept = {event.seq: event for event in client.events(self._seen.job)}
            for number, event in self._seen.events.items():
                if kept.get(number) != event:
                    self._defect(LOST, f"event {number} ({event.kind}) is not what was shown")
            for backup in self._seen.backups:
                self._check_backup(client, backup)
        except FieldKitError as error:
            self._defect(LOST, f"{error.code}: {error.what}")
        finally:
            client.close()

    def _check_backup(self, client: Client, backup: str) -> None:
        if not client.backup_verify(backup).whole:
            self._defect(LOST, f"backup {backup} is not whole on both media after repair")
        files = client.backup_open(backup, PASSPHRASE).files
        images = [file.content for file in files if file.name.endswith("calibration.bin")]
        known = (self._before.calibration, memory(self._car, spare=True).calibration)
        if not images or images[0] not in known:
            names = [(file.name, len(file.content)) for file in files]
            self._defect(LOST, f"backup {backup} does not hold the ECU's memory {names}")
