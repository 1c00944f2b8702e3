"""The technician of a run: does a whole job by the kit's API, as a person at the car would.

They try again what failed, put right what stands in the way once their patience is over, follow a
write to its end, resume or abort one that was cut, and use the kit's own recovery until it says it
is done. They believe what the kit says; whether that was true is for `judge` to find out.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from appliance.api import messages as m
from appliance.client import Client
from hw import clock
from hw.errors import FieldKitError, UnavailableError
from tests.campaign.faults import FORGED, OTHER_SERIAL, Scenario, damaged_medium
from tests.campaign.forger import Forger
from tests.campaign.rig import Car, Handle
from tests.campaign.template import (
    CALIBRATION,
    ECU,
    MEMORY_LIMIT,
    PASSPHRASE,
    PROFILE,
    TECHNICIAN,
    Places,
)

HANG_S = 120.0
PAUSE_S = 0.2
LOOK_S = 0.8
SOFTWARE_NUMBER = "8K0907115R"
CODING = "coding.cruise_control=off"
R = TypeVar("R")


class Hang(Exception):
    """The kit did not get on for `HANG_S` seconds, whatever the technician did."""


class Seen(Struct, kw_only=True):
    """What the technician saw, for the judge and for whoever reads a run.

    Attributes:
        job: id of the job.
        stated: what the kit says of the job at the end.
        acknowledged_at: boot time of the first acknowledgment, 0.0 for none.
        backups: ids of backups that the kit said were made.
        events: events of the job's chain as they were shown, by number.
        errors: what the kit said on the way.
        wrongs: what must never be seen, such as a permit for wrong evidence.
        payload: what was to be written into the calibration, empty for another write.
    """

    job: str = ""
    stated: str = ""
    acknowledged_at: float = 0.0
    backups: list[str] = []
    events: dict[int, m.JobEvent] = {}
    errors: list[str] = []
    wrongs: list[str] = []
    payload: bytes = b""


class Technician:
    """See the module."""

    def __init__(self, scenario: Scenario, places: Places, rig: Handle, car: Car) -> None:
        self._scenario, self._places, self._rig, self._car = scenario, places, rig, car
        self._client = Client(places.run / "appliance.sock")
        self._rng = random.Random(f"{scenario.seed}/{scenario.run}/technician")
        self._link = str(rig.links["ecus"][ECU][scenario.kind])
        self._wrong = scenario.wrong()
        self._swapped = False
        self._moved_at = time.monotonic()
        self.seen = Seen()

    def work(self) -> Seen:
        """The whole job.

        Raises:
            Hang: the kit did not get on.
        """
        self._insist(lambda: self._client.unlock(TECHNICIAN, PASSPHRASE))
        self.seen.job = self._insist(lambda: self._client.job_new("Fleet Ltd", "Test car")).job
        if self._wrong == "wrong ECU on the cable":
            self._exchange({"0xF191": "8K0907999", "0xF18C": OTHER_SERIAL})
        self._rig.phase("identify")
        self._insist(lambda: self._client.identify(self._link, PROFILE, self.seen.job))
        self._rig.phase("backup")
        self._back_up()
        self._rig.phase("plan")
        plan = self._plan()
        if self._wrong == "ECU exchanged before the write":
            self._exchange({"0xF18C": OTHER_SERIAL})
        elif self._wrong == "backup of another ECU":
            self._exchange({"0xF18C": OTHER_SERIAL})
            self._back_up()
            self._exchange({})
        elif self._wrong in FORGED:
            self._forge(plan)
        self._rig.phase("write")
        self._write(plan)
        self._recover()
        if self._wrong == "acknowledgment used twice":
            self._forge_again(plan)
        if self._swapped:
            self._exchange({})  # The judge looks at the customer's own ECU.
        self.seen.stated = self._last_word()
        return self.seen

    # Steps ------------------------------------------------------------------------------------

    def _back_up(self) -> None:
        asked = m.BackupMake(link=self._link, profile=PROFILE, job=self.seen.job)
        made = self._insist(lambda: self._client.backup_make(asked))
        self.seen.backups.append(made.backup)

    def _plan(self) -> m.PlanView:
        job, link = self.seen.job, self._link
        if self._scenario.operation == "code":
            code = m.PlanCode(link=link, profile=PROFILE, job=job, settings=[CODING])
            return self._insist(lambda: self._client.plan_code(code))
        if self._scenario.operation == "restore":
            backup = self.seen.backups[-1]
            restore = m.PlanRestore(
                link=link, profile=PROFILE, job=job, backup=backup, what="image"
            )
            return self._insist(lambda: self._client.plan_restore(restore))
        self.seen.payload = self._rng.randbytes(MEMORY_LIMIT)
        if self._wrong in ("file for another variant", "file edited by one byte"):
            self._refused_file()
        right = self._file(self.seen.payload, SOFTWARE_NUMBER)
        return self._insist(lambda: self._client.plan_flash(right))

    def _file(self, content: bytes, software: str) -> m.PlanFlash:
        manifest = {
            "address": CALIBRATION,
            "size": len(self.seen.payload),
            "sha256": hashlib.sha256(self.seen.payload).hexdigest(),
            "sw_part_number": software,
        }
        return m.PlanFlash(
            link=self._link,
            profile=PROFILE,
            job=self.seen.job,
            name="new.bin",
            content=content,
            manifest=json.dumps(manifest).encode(),
        )

    def _refused_file(self) -> None:
        content = bytearray(self.seen.payload)
        software = "8K0907999X"
        if self._wrong == "file edited by one byte":
            content[self._rng.randrange(len(content))] ^= 1 << self._rng.randrange(8)
            software = SOFTWARE_NUMBER
        try:
            self._client.plan_flash(self._file(bytes(content), software))
        except FieldKitError as error:
            self._note(error)
        else:
            self.seen.wrongs.append(f"let pass: {self._wrong}")

    def _forge(self, plan: m.PlanView) -> None:
        """Go behind the appliance's back with evidence that is wrong in one thing."""
        forger = self._forger(plan)
        try:
            if forger.permit_for(self._wrong, self.seen.backups[-1]):
                self.seen.wrongs.append(f"let pass: {self._wrong}")
        except FieldKitError as error:
            self._note(error)

    def _forger(self, plan: m.PlanView) -> Forger:
        medium = damaged_medium(self._scenario.faults) or self._rng.choice("ab")
        return Forger(self._places, self._rng, plan, self.seen.payload, medium)

    def _forge_again(self, plan: m.PlanView) -> None:
        """The acknowledgment that a write used up, for the same plan once more."""
        used = [event.body for event in self.seen.events.values() if event.kind == "acknowledged"]
        if not used:
            return
        forger = self._forger(plan)
        statement, signature = used[-1]["statement"], used[-1]["signature"]
        try:
            if forger.permit_with(self.seen.backups[-1], statement, signature):
                self.seen.wrongs.append(f"let pass: {self._wrong}")
        except FieldKitError as error:
            self._note(error)

    def _exchange(self, dids: dict[str, str]) -> None:
        self._car.do("exchange", ecu=ECU, dids=dids)
        self._swapped = not self._swapped

    # The write --------------------------------------------------------------------------------

    def _write(self, plan: m.PlanView) -> None:
        """Run a plan until it was followed to its end or the technician left a refusal at that."""
        began = time.monotonic()
        while refusal := self._try_run(plan):
            if self._begun(plan):
                break
            if self._leaves_it():
                return
            if time.monotonic() - began > self._scenario.patience_s:
                self._mend()
                if "DUAL_BACKUP" in refusal:
                    self._renew_backup()
            self._pause(began, refusal)
        self._follow()

    def _try_run(self, plan: m.PlanView) -> str:
        """Acknowledge and run; returns why it was refused, empty when it was started."""
        self.seen.acknowledged_at = self.seen.acknowledged_at or clock.now()
        try:
            started = self._client.run(self.seen.job, plan.file, plan.risk_digest, PASSPHRASE)
        except FieldKitError as error:
            return self._note(error)
        refused = [result for result in started.gates if not result.passed]
        return "; ".join(self._say(f"{each.gate}: {each.reason}") for each in refused)

    def _begun(self, plan: m.PlanView) -> bool:
        """Did a write begin although the answer was lost? hw's journal knows."""
        runs = self._insist(self._status).runs
        return any(run.plan_digest == plan.digest for run in runs)

    def _leaves_it(self) -> bool:
        return self._scenario.gives_up and not self._unfinished() and self._rng.random() < 0.3

    def _renew_backup(self) -> None:
        """What the gate's next step says: have it repaired, or make another."""
        try:
            if self._client.backup_verify(self.seen.backups[-1]).whole and self._rng.random() < 0.5:
                return
        except FieldKitError as error:
            self._note(error)
        if not self._unfinished():  # An ECU without software cannot be read any more.
            self._back_up()

    def _follow(self) -> None:
        """Watch a write until it has ended; mend, resume or abort on the way."""
        began, waited_since, looked_at = time.monotonic(), 0.0, 0.0
        while True:
            if time.monotonic() - looked_at > LOOK_S:
                self._look()
                looked_at = time.monotonic()
            status = self._insist(self._status)
            runs = [run for run in status.runs if run.job == self.seen.job]
            if not any(run.state == "running" for run in runs):
                return
            gate = status.hw.gate if status.hw is not None else ""
            waited_since = (waited_since or time.monotonic()) if gate in ("HELD", "CUT") else 0.0
            if waited_since and time.monotonic() - waited_since > self._scenario.patience_s:
                self._mend()
                if gate == "CUT":
                    self._leave_cut()
                waited_since = 0.0
            self._pause(began, f"the write does not end, the gate is {gate}")

    def _leave_cut(self) -> None:
        try:
            if self._scenario.resumes:
                plan = self._client.running_plan(self.seen.job)
                self._client.resume(self.seen.job, plan.risk_digest, PASSPHRASE)
            else:
                self._client.abort(self.seen.job)
        except FieldKitError as error:
            self._note(error)

    def _recover(self) -> None:
        """Recover until nothing of the job is unfinished."""
        began = time.monotonic()
        if self._wrong == "ECU exchanged before the recovery" and self._unfinished():
            self._exchange({"0xF18C": OTHER_SERIAL})
        while self._unfinished():
            try:
                plan = self._client.recovery(self.seen.job, "").plan
            except FieldKitError as error:
                self._note(error)
                self._mend()
                self._pause(began, error.what)
            else:
                self._write(plan)

    def _unfinished(self) -> bool:
        return any(run.job == self.seen.job for run in self._insist(self._status).runs)

    def _last_word(self) -> str:
        """What the record says; where it says that it lags behind hw, once it does not."""
        began = time.monotonic()
        self._insist(self._status_of_record)
        while (state := self._look().state) == "writing":
            self._insist(self._status_of_record)
            self._pause(began, "hw has ended the write, the job's record has not")
        return state

    # Looking and trying -----------------------------------------------------------------------

    def _look(self) -> m.JobView:
        """The job; its new events are looked at, as a screen would show them."""
        return self._insist(self._job_and_events)

    def _job_and_events(self) -> m.JobView:
        view = self._client.job_show(self.seen.job)
        for event in self._client.events(self.seen.job, max(self.seen.events, default=0)):
            self.seen.events[event.seq] = event
        return view

    def _status(self) -> m.KitStatus:
        """The kit, unlocked and with hw answering."""
        status = self._client.status()
        if status.locked:
            self._client.unlock(TECHNICIAN, PASSPHRASE)
        if status.hw_problem is not None:
            raise UnavailableError(status.hw_problem.what, status.hw_problem.next_step)
        return status

    def _status_of_record(self) -> None:
        if (lag := self._status().record_problem) is not None:
            raise UnavailableError(lag.what, lag.next_step)

    def _insist(self, action: Callable[[], R]) -> R:
        """Try until it works, putting things right once patience is over."""
        began = time.monotonic()
        while True:
            try:
                return action()
            except FieldKitError as error:
                self._note(error)
                if error.code == "locked":
                    self._unlock()
                if time.monotonic() - began > self._scenario.patience_s:
                    self._mend()
                self._pause(began, error.what)

    def _unlock(self) -> None:
        try:
            self._client.unlock(TECHNICIAN, PASSPHRASE)
        except FieldKitError as error:
            self._note(error)

    def _pause(self, began: float, why: str) -> None:
        if time.monotonic() - began > HANG_S:
            raise Hang(why)
        time.sleep(PAUSE_S)

    def _mend(self) -> None:
        """Put everything right that a person can: supply, plugs, media, the right ECU."""
        self._rig.heal()
        if self._swapped:
            self._exchange({})

    def _note(self, error: FieldKitError) -> str:
        if not error.next_step:
            self.seen.wrongs.append(f"an error without a next step: {error.what}")
        if error.code == "internal":
            self.seen.wrongs.append(f"a defect shown to the technician: {error.what}")
        return self._say(f"{error.code}: {error.what}")

    def _say(self, text: str) -> str:
        if self.seen.errors[-1:] != [text]:
            self.seen.errors.append(text)
        return text
