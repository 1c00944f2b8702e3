"""The workshop: what waits to be handed over and why, handing over now, and enrolling this kit."""

from __future__ import annotations

from appliance.client import messages
from ui.i18n import _
from ui.models.backend import Seen
from ui.models.shared import Asking, AskingState, Shared

OWNER = "owner"


class WorkshopState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    state: `not_set_up`, `locked`, `idle`, `sending`, `waiting`, `paused`; empty while not known.
    workshop, kit: the workshop's address, and what it calls this kit.
    waiting, in_work: records that wait; jobs that are still worked on.
    job, sent_bytes, total_bytes: the record under way.
    handed_over, heard: wall times, of the last record and of the workshop's last answer.
    keeps, keeps_next: what keeps the rest, and what to do about it.
    silence, silence_next: the workshop was not heard for long; empty while it was.
    aside: job and reason of what the workshop will never take.
    not_taken: why something that came from the workshop was not used.
    retirable, retired: jobs whose files may go later; those whose files the workshop has instead.
    owner: an owner has the kit.
    typed: letters of a code that a scanner has typed so far.
    done: what was done last, in one sentence.
    """

    state: str = ""
    workshop: str = ""
    kit: str = ""
    waiting: int = 0
    in_work: int = 0
    job: str = ""
    sent_bytes: int = 0
    total_bytes: int = 0
    handed_over: str = ""
    heard: str = ""
    keeps: str = ""
    keeps_next: str = ""
    silence: str = ""
    silence_next: str = ""
    aside: tuple[tuple[str, str], ...] = ()
    not_taken: tuple[str, ...] = ()
    retirable: int = 0
    retired: int = 0
    owner: bool = False
    typed: int = 0
    done: str = ""


class WorkshopModel(Asking[WorkshopState]):
    """Follows the way to the workshop. The code for enrolment is kept nowhere."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(WorkshopState(), shared)
        shared.backend.subscribe(self._seen)

    def open(self) -> None:
        """The screen is shown."""
        self._change(what="", next_step="", done="", typed=0)

    def hand_over(self) -> None:
        """Hand over now, what is still worked on, too; how it goes is followed."""
        self._change(done="")
        self._ask(lambda client: client.sync_now(wait=False), lambda _view: None)

    def typing(self, text: str) -> None:
        """A scanner is typing."""
        self._change(typed=len(text), done="")

    def take(self, code: str) -> None:
        """Enrol this kit with a code as it was typed or scanned; asks where it has a workshop."""
        self._change(typed=0, done="")
        if not code.strip() or self.state.busy:
            return
        if not self.state.workshop:
            self._enrol(code)
            return
        self._shared.messages.ask(
            _("Enrol this kit anew?"),
            _("It belongs to the workshop {address}.").format(address=self.state.workshop),
            _("Enrol"),
            lambda: self._enrol(code),
        )

    def _enrol(self, code: str) -> None:
        self._ask(
            lambda client: client.sync_enrol(code),
            lambda _okay: self._change(done=_("This kit belongs to the workshop now.")),
        )

    def _seen(self, seen: Seen) -> None:
        if seen.status is not None:
            self._told(seen.status.sync, owner=seen.status.role == OWNER)

    def _told(self, sync: messages.Sync, *, owner: bool) -> None:
        silence = sync.silence
        self._change(
            state=sync.state,
            workshop=sync.workshop,
            kit=sync.kit,
            waiting=sync.waiting,
            in_work=sync.in_work,
            job=sync.job,
            sent_bytes=sync.sent_bytes,
            total_bytes=sync.total_bytes,
            handed_over=sync.handed_over,
            heard=silence.heard if silence is not None else "",
            keeps=sync.what,
            keeps_next=sync.next_step,
            silence=silence.what if silence is not None else "",
            silence_next=silence.next_step if silence is not None else "",
            aside=tuple((one.job, one.why) for one in sync.aside),
            not_taken=tuple(sync.changes_put_aside),
            retirable=sync.retirable,
            retired=sync.retired,
            owner=owner,
        )
