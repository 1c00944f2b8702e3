"""The thread that hands records over to the workshop whenever that is possible.

It works only while the kit is unlocked, since its keys sign what is sent, and never while a write
runs. What keeps it is told, and tried again by itself with growing, jittered pauses.
"""

from __future__ import annotations

import logging
import random
import shutil
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from appliance.api.messages import Okay, Silence, Sync, SyncAside
from appliance.errors import NotPermittedError
from appliance.identity import Unlocked
from appliance.identity.wallclock import moment, rfc3339
from appliance.records.view import JobState
from appliance.service.book import Book
from appliance.service.freight import Freight
from appliance.service.reaching import Reaching
from appliance.service.retiring import Retiring
from appliance.sync.changes import Inbox
from appliance.sync.connectivity import Connectivity
from appliance.sync.handover import Sent, Way, hand_over
from appliance.sync.hubclient import ComeAgain, Greeted, HubClient, Paused
from appliance.sync.outbox import Lost, Unfrozen
from appliance.sync.pace import Pace
from appliance.sync.pairing import Pairing, enrol, load_pairing
from appliance.sync.requests import kit_id
from appliance.sync.rest import in_any_case
from hw import clock
from hw.config import KitConfig
from hw.errors import FieldKitError, UnavailableError
from hw.statements import Moment

log = logging.getLogger("fieldkit.sync")

LOOK_S = 30.0
"""So often it looks for jobs that are at rest; whoever changed something wakes it sooner."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, REFUSED_PAUSE_S = 5.0, 600.0, 600.0
RETIRE_EVERY_S = 3600.0
MOST_ASIDE = 20
PASS_LIMIT_S = 20.0
"""So long somebody who asked for a pass waits for it before being told how far it is."""

_NOTHING_UNDER_WAY: dict[str, Any] = {"job": "", "sent_bytes": 0, "total_bytes": 0}


@dataclass
class Syncing:
    """See the module.

    Attributes:
        state: the kit's state folder.
        writing: is a write under way?
        people: held while the kit's technicians are changed.
        unfinished: jobs of which hw has a write that runs or is unfinished; raises without hw.
    """

    state: Path
    writing: Callable[[], bool]
    people: threading.Lock
    unfinished: Callable[[], Collection[str]]
    _freight: Freight | None = None
    _view: Sync = field(default_factory=lambda: Sync(state="not_set_up"))
    _wake: threading.Event = field(default_factory=threading.Event)
    _passed: threading.Condition = field(default_factory=threading.Condition)
    _asked: int = 0
    """How often somebody asked for a pass; up to which one that was answered."""
    _answered: int = 0
    _stop: bool = False
    _away: bool = False
    """The last pass did not reach the workshop."""
    _pause_s: float = LOOK_S
    _retired: float = -RETIRE_EVERY_S
    """When it last looked for what the workshop has, in seconds since boot."""

    def __post_init__(self) -> None:
        self._reaching = Reaching(self._wake.set)
        self._connectivity = Connectivity(self._network_came)

    def start(self) -> None:
        """Begin."""
        self._connectivity.start()
        self._thread = threading.Thread(target=self._work, name="sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not handed over waits in the outbox."""
        self._connectivity.close()
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    def open(self, unlocked: Unlocked, book: Book, config: KitConfig) -> None:
        """The kit was unlocked."""
        self._freight = Freight(unlocked, book, config.media, config.sync)
        self._wake.set()

    def shut(self) -> None:
        """The kit is being locked; a pass ends before its next piece."""
        self._freight = None
        self._wake.set()

    def view(self) -> Sync:
        """How it stands."""
        if self._freight is None:
            return structs.replace(self._view, state=self._resting(), silence=None)
        return self._view

    def now(self, *, wait: bool) -> Sync:
        """Make a pass now, with the jobs that are still worked on and what was put aside, too.

        Args:
            wait: for its end, or for a while; else how it stands now is returned.
        """
        with self._passed:
            self._asked += 1
            wanted = self._asked
            self._wake.set()
            if wait:
                self._passed.wait_for(lambda: self._answered >= wanted, PASS_LIMIT_S)
        return self.view()

    def enrol(self, code: str) -> Okay:
        """Let this kit in at a workshop.

        Raises:
            NotPermittedError: no owner has the kit.
            FieldKitError: the code is none or not good, or the workshop was not reached.
        """
        freight = self._freight
        if freight is None or freight.unlocked.technician.role != "owner":
            raise NotPermittedError(
                "Only an owner can enrol this kit.", "Let an owner unlock it and do it."
            )
        pairing = enrol(self.state, freight.unlocked.kit_key, code)
        self._wake.set()
        return Okay(what=f"This kit is '{pairing.name}' at the workshop {pairing.address} now.")

    def _network_came(self) -> None:
        if self._away:
            self._wake.set()

    # The thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._wake.wait(self._pause_s * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            self._wake.clear()
            if self._stop:
                self._reaching.close()
                return
            asked = self._asked
            self._pass(everything=asked > self._answered)
            with self._passed:
                self._answered = asked
                self._passed.notify_all()

    def _pass(self, *, everything: bool) -> None:
        freight = self._freight
        try:
            pairing = load_pairing(self.state)
            if pairing is None or freight is None:
                self._reaching.close()
                self._view = Sync(state=self._resting(), silence=_silence(freight))
                return
            freight.silence.begin()
            self._view = structs.replace(self._view, silence=_silence(freight))
            self._hand_over(freight, pairing, everything=everything)
        except FieldKitError as error:
            if self._freight is freight:  # Else it was locked meanwhile, which is no failure.
                self._tell(error)
        else:
            self._away, self._pause_s = False, LOOK_S

    def _resting(self) -> Literal["locked", "not_set_up", "paused"]:
        try:
            return "locked" if load_pairing(self.state) is not None else "not_set_up"
        except FieldKitError:
            return "paused"

    def _hand_over(self, freight: Freight, pairing: Pairing, *, everything: bool) -> None:
        def may_go_on() -> bool:
            return not self._stop and self._freight is freight and not self.writing()

        def at_rest(state: JobState, last: Moment) -> bool:
            rest = in_any_case if everything else freight.at_rest
            return rest(state, last) and may_go_on()

        self._view = structs.replace(self._view, workshop=pairing.address, kit=pairing.name)
        if not may_go_on():
            what = "Nothing is handed over while a write runs."
            self._view = structs.replace(self._view, state="waiting", what=what, next_step="")
            return
        left = freight.outbox.freeze(at_rest)
        waiting = len(freight.outbox.items())
        self._view = structs.replace(
            self._view, state="sending", waiting=waiting, in_work=len(left.in_work)
        )
        free, lost = shutil.disk_usage(self.state).free, Lost(again=0, gone=0)

        def greet(hub: HubClient) -> Greeted:
            return hub.hello(version("fieldkit"), free, waiting)

        with self._reaching.hub(pairing, freight.unlocked.kit_key, greet) as (hub, greeted):
            freight.silence.greeted(greeted.time)
            self._view = structs.replace(self._view, silence=_silence(freight))
            lost = (
                freight.outbox.send_again_after(greeted.last) if greeted.last >= 0 else Lost(0, 0)
            )
            if everything:
                freight.outbox.try_again()
            pace = Pace(freight.config.kilobytes_per_s * 1000)
            way = Way(hub, pairing.signers(), freight.open_blob, may_go_on, pace, self._tell_sent)
            done = hand_over(freight.outbox, way)
            inbox = self._inbox(freight, pairing)
            if everything:
                inbox.try_again()
            inbox.fetch(hub.changes, may_go_on)
            if everything or clock.now() - self._retired >= RETIRE_EVERY_S:
                self._retire(freight, pairing, hub)
        aside = [one.why for one in inbox.put_aside()]
        self._view = structs.replace(self._view, changes_put_aside=aside)
        if done.handed_over:
            self._view = structs.replace(self._view, handed_over=moment().wall)
        self._tell_end(freight, left, lost)

    def _retire(self, freight: Freight, pairing: Pairing, hub: HubClient) -> None:
        """Let go of what the workshop has had for long enough, and says that it still has."""
        heard = freight.silence.look()
        if self.writing() or heard is None:
            return
        try:
            unfinished = self.unfinished()
        except UnavailableError:
            return  # Nothing goes without hw's word; that it is away is told by the kit's status.
        keep_s = freight.config.keep_days * 86_400.0
        retiring = Retiring(freight.outbox, freight.media, pairing.signers(), keep_s, hub.receipt)
        kept = retiring.run(heard.workshop_s, unfinished)
        self._retired = clock.now()
        self._view = structs.replace(self._view, retirable=kept.held, retired=kept.gone)

    def _inbox(self, freight: Freight, pairing: Pairing) -> Inbox:
        unlocked = freight.unlocked
        this, master_key = kit_id(unlocked.kit_key.public_key()), unlocked.master_key
        return Inbox(
            freight.book.store, self.state, this, pairing.signers(), self.people, master_key
        )

    def _tell_sent(self, sent: Sent) -> None:
        self._view = structs.replace(
            self._view, job=sent.job, sent_bytes=sent.done, total_bytes=sent.total
        )

    def _tell_end(self, freight: Freight, left: Unfrozen, lost: Lost) -> None:
        """How it stands after a pass that was not broken off."""
        queued, aside = freight.outbox.items(), freight.outbox.items(("QUARANTINED",))
        what, next_step = next((item.why for item in queued if item.why), ""), ""
        if left.without_medium and not what:
            what = f"{len(left.without_medium)} jobs wait for a medium with their backup."
            next_step = "Insert the medium."
        elif lost.gone and not what:
            what = f"The workshop lost {lost.gone} of the records that are not whole here any more."
            next_step = "Tell the office: the jobs are still on this kit, and can be exported."
        elif aside and not what:
            what = f"The workshop refused {len(aside)} of the records."
            next_step = "Ask the office why; handing over by hand tries them again."
        waiting = len(queued) + len(left.without_medium)
        self._view = structs.replace(
            self._view,
            state="waiting" if waiting else "idle",
            waiting=waiting,
            put_aside=len(aside),
            aside=[SyncAside(job=item.job, why=item.why) for item in aside[-MOST_ASIDE:]],
            what=what,
            next_step=next_step,
            **_NOTHING_UNDER_WAY,
        )

    def _tell(self, error: FieldKitError) -> None:
        """Say what keeps it, once for each reason, and take a longer pause."""
        if self._view.what != error.what:
            log.info("Records are not handed over now: %s", error)
        paused, self._away = isinstance(error, Paused), isinstance(error, ComeAgain)
        self._view = structs.replace(
            self._view,
            state="paused" if paused else "waiting",
            what=error.what,
            next_step=error.next_step,
            **_NOTHING_UNDER_WAY,
        )
        if paused:
            self._pause_s = REFUSED_PAUSE_S
        elif self._away:
            before = self._pause_s if self._pause_s != LOOK_S else FIRST_PAUSE_S / 2
            self._pause_s = min(2 * before, LONGEST_PAUSE_S)
        else:
            self._pause_s = LOOK_S


def _silence(freight: Freight | None) -> Silence | None:
    """How long the workshop was not heard. Asked in a pass only: whoever looks at the kit's status
    several times a second must not wait for its card.
    """
    now = freight.silence.standing() if freight is not None else None
    if now is None:
        return None
    return Silence(
        state=now.state,
        days=now.days,
        heard=rfc3339(now.heard),
        what=now.what,
        next_step=now.next_step,
    )
