"""What a link to an ECU offers, and the two questions that every link asks the gate.

A link carries diagnostic messages between the kit and one ECU. `Link.request` holds what all
links share (ISO 14229-2): matching of answers, 0x78 response pending, 0x21 busy. A transport below
it (`CanLink`, `DoipLink`) moves one message and nothing else.

Concurrency: one request at a time; a link belongs to the thread that called `request`. A lock
turns a second caller away with `LinkBusy` rather than interleave two conversations.

Late answers
------------
An answer carries no number, only an echo (see `hw.links.answers`); a negative one carries nothing
but the service. So after a request that got no answer in time, the next request *of the same
service* could be given the answer of the first. The link remembers every request that is still
owed an answer and how long the ECU may still give it: an ECU speaks within P2* at the latest, and
each 0x78 gives it another P2* (ISO 14229-2). Within that time the link waits for the owed answer,
and throws it away, before it sends a request that could be confused with it. Requests of other
services go out at once, because there a late answer is known by its service. An ECU that answers
later than P2* after its last word breaks the standard, and no client can tell then.

TesterPresent is the exception: its answer says nothing but 'alive', is never worked on for long,
and is asked again and again while an ECU restarts, so it is owed for P2 only.
"""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from hw.clock import now
from hw.errors import UnavailableError, UsageError
from hw.links.answers import BUSY_REPEAT_REQUEST, Match, match, suppresses_answer
from hw.plan import Timing

FrameCheck = Callable[[], None]
"""Called before every frame of a write; raises `WriteHeld` or `WriteCut` when it must stay."""

BUSY_PAUSE_S = 0.1
"""Pause before a request that was answered with 0x21 busyRepeatRequest goes out again."""

_TESTER_PRESENT = 0x3E


class LinkGate(Protocol):
    """The gate as a link sees it. A link cannot be made without one."""

    def admit(self, payload: bytes) -> FrameCheck | None:
        """Message check: may this request be sent now?

        Returns:
            None for a read; for a write the check to be called before each of its frames.

        Raises:
            hw.gate.NotPlanned: a write that is not the plan's next one.
            hw.gate.WriteHeld, hw.gate.WriteCut: a planned write while the gate is not OPEN.
        """


class LinkError(UnavailableError):
    """The link or the ECU behind it does not answer as the protocol demands."""

    code = "link"


class NoAnswer(LinkError):
    """No answer within the time the timing allows; whether the ECU acted is unknown."""

    code = "no_answer"


class LinkLost(LinkError):
    """The medium itself is gone (bus-off, connection closed, device unplugged)."""

    code = "link_lost"


class LinkBusy(LinkError):
    """Another conversation holds this link."""

    code = "link_busy"


class NegativeResponse(LinkError):
    """The ECU answered 0x7F; `service` and `nrc` say to what and why (ISO 14229-1 Annex A)."""

    code = "negative_response"

    def __init__(self, service: int, nrc: int, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.service = service
        self.nrc = nrc


@dataclass(slots=True, eq=False)
class _Owed:
    """A request whose answer may still come until `until` (see 'Late answers' above)."""

    request: bytes
    until: float


class Link(abc.ABC):
    """A conversation with one ECU.

    Args:
        uri: the link's URI, for messages to people.
        gate: asked before every request and, for writes, before every frame.
        timing: P2, P2* and the limits from the profile, in seconds.
    """

    max_request_bytes: int
    """Longest request that this link carries; a download's block length must not exceed it."""

    def __init__(self, uri: str, gate: LinkGate, timing: Timing) -> None:
        self.uri = uri
        self._gate = gate
        self._timing = timing
        self._owed: list[_Owed] = []
        self._conversation = threading.Lock()
        self._trouble = ""  # what a transport saw go wrong while it waited, for the error's text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What a caller uses -------------------------------------------------------------------------

    def request(self, payload: bytes, pending_limit_s: float | None = None) -> bytes:
        """Send a request and wait for its final positive answer.

        0x78 extends the wait by P2* again and again (ISO 14229-2, P2*server); 0x21 repeats the
        request after a short pause, each time past the gate again. Nothing else is ever re-sent.

        Args:
            payload: the request, service identifier first.
            pending_limit_s: longest chain of 0x78 to bear, in seconds; the timing's where None.

        Returns:
            The whole answer, service identifier first.

        Raises:
            NegativeResponse: the ECU refused; `nrc` says why.
            NoAnswer: nothing in time. Whether the ECU acted is unknown.
            LinkLost: the medium is gone; open a new link.
            LinkBusy: another thread is in a conversation on this link.
            UsageError: the request is empty, too long, or suppresses its answer (use `notify`).
            hw.gate.errors.NotPlanned, hw.gate.errors.WriteHeld, hw.gate.errors.WriteCut: the gate
                refused. The ECU has not got the whole message. After `WriteHeld` the same bytes may
                be requested again.
        """
        self._check_size(payload)
        if suppresses_answer(payload):
            raise UsageError(
                f"Request {payload[:2].hex()} tells the ECU not to answer, so there is nothing to "
                "wait for.",
                "Clear bit 7 of the sub-function.",
            )
        limit = self._timing.pending_limit_s if pending_limit_s is None else pending_limit_s
        with self._hold_conversation():
            give_up = now() + self._timing.busy_limit_s
            while True:
                answer = self._exchange(payload, limit)
                if match(payload, answer) is Match.POSITIVE:
                    return answer
                nrc = answer[2]
                if nrc != BUSY_REPEAT_REQUEST or now() + BUSY_PAUSE_S > give_up:
                    from hw.links.nrc import negative_response  # noqa: PLC0415 - needs this module

                    raise negative_response(payload[0], nrc)
                self._discard_until(now() + BUSY_PAUSE_S)

    def notify(self, payload: bytes) -> None:
        """Send a request whose positive answer is suppressed, such as TesterPresent `3E 80`.

        Args:
            payload: the request, with bit 7 of its sub-function set.

        Raises:
            UsageError: the request does not suppress its answer.
            LinkLost, LinkBusy, and the gate's errors: as `request`.
        """
        self._check_size(payload)
        if not suppresses_answer(payload):
            raise UsageError(
                f"Request {payload[:2].hex()} asks for an answer.",
                "Set bit 7 of the sub-function, or wait for the answer.",
            )
        with self._hold_conversation():
            check = self._gate.admit(payload)
            self._transmit(payload, check)
            self._forget_expired()
            # It may still be refused; that must not be taken for the next one's refusal.
            self._owed.append(_Owed(payload, now() + self._timing.p2_s))

    def attend(self, for_s: float) -> None:
        """Wait, and meanwhile answer what the medium itself asks (DoIP alive check).

        For a caller that pauses between requests: a sleep would leave such questions unanswered.

        Args:
            for_s: how long, in seconds.

        Raises:
            LinkLost: the medium went away meanwhile.
        """
        with self._hold_conversation():
            self._discard_until(now() + for_s)

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the medium. May be called twice."""

    # What a transport provides ------------------------------------------------------------------

    @abc.abstractmethod
    def _transmit(self, payload: bytes, check: FrameCheck | None) -> None:
        """Send one whole message, once. Call `check` before each frame; let what it raises through.

        Whatever ends it early leaves the transport ready for the next message.
        """

    @abc.abstractmethod
    def _receive(self, deadline: float) -> bytes | None:
        """The next whole message from the ECU, or None when none has begun by `deadline`.

        Looks at least once, also when the deadline has passed, and does not wait then.
        """

    # One exchange -------------------------------------------------------------------------------

    def _exchange(self, payload: bytes, pending_limit_s: float) -> bytes:
        """Send past the gate; the answer is positive or negative, never a stray or 0x78."""
        check = self._gate.admit(payload)
        if self._settle(payload):
            # Seconds may have passed: what was allowed then may not be allowed now.
            check = self._gate.admit(payload)
        self._trouble = ""
        self._transmit(payload, check)
        owed = _Owed(payload, now() + self._late_s(payload))
        self._owed.append(owed)
        answer = self._await_answer(owed, pending_limit_s)
        self._owed = [other for other in self._owed if other is not owed]
        return answer

    def _await_answer(self, owed: _Owed, pending_limit_s: float) -> bytes:
        sent = now()
        deadline = sent + self._timing.p2_s
        last_pending = 0.0
        while (answer := self._receive(deadline)) is not None:
            kind = match(owed.request, answer)
            if kind in {Match.POSITIVE, Match.NEGATIVE}:
                return answer
            if kind is Match.PENDING:
                last_pending = now()
                deadline = min(last_pending + self._timing.p2_star_s, sent + pending_limit_s)
                owed.until = last_pending + 2 * self._timing.p2_star_s
            else:
                self._retire(answer)
            if now() > deadline:
                break
        raise self._no_answer(owed.request, sent, pending=bool(last_pending))

    def _no_answer(self, request: bytes, sent: float, *, pending: bool) -> NoAnswer:
        waited = f"{now() - sent:.2f} s"
        trouble = f" ({self._trouble})" if self._trouble else ""
        service = f"service 0x{request[0]:02X}"
        if pending:
            return NoAnswer(
                f"The ECU asked for more time for {service} and had not finished after {waited}"
                f"{trouble}.",
                "Leave the ignition on; read the ECU's state before you try again.",
            )
        return NoAnswer(
            f"The ECU did not answer {service} within {waited}{trouble}.",
            "Check ignition, plug and the addresses in the link, then try again.",
        )

    # Late answers (see the module's text) -------------------------------------------------------

    def _settle(self, payload: bytes) -> bool:
        """Wait until no answer is owed that could be taken for this request's. True: it waited."""
        self._discard_until(now())
        limit = now() + self._timing.pending_limit_s + self._timing.p2_star_s
        waited = False
        while (until := self._confusable_until(payload)) > now():
            if now() > limit:
                raise NoAnswer(
                    f"The ECU is still working on an earlier request of service "
                    f"0x{payload[0]:02X}, so a new one would not be told apart from it.",
                    "Leave the ignition on, wait and try again.",
                )
            waited = True
            if (late := self._receive(until)) is not None:
                self._retire(late)
        return waited

    def _confusable_until(self, payload: bytes) -> float:
        return max((o.until for o in self._owed if o.request[0] == payload[0]), default=0.0)

    def _late_s(self, payload: bytes) -> float:
        """How long after sending an answer may come at all."""
        if payload[0] == _TESTER_PRESENT:
            return 2 * self._timing.p2_s
        return self._timing.p2_s + self._timing.p2_star_s

    def _retire(self, late: bytes) -> None:
        """Book a late answer to the oldest request that it can belong to."""
        self._forget_expired()
        for owed in self._owed:
            kind = match(owed.request, late)
            if kind is Match.PENDING:
                owed.until = now() + self._timing.p2_star_s
                return
            if kind is not Match.STRAY:
                self._owed.remove(owed)
                return

    def _forget_expired(self) -> None:
        self._owed = [owed for owed in self._owed if owed.until > now()]

    def _discard_until(self, deadline: float) -> None:
        """Take in and throw away what comes before `deadline`; with one that has passed, what is
        there already (for at most P2*, so that a flood cannot hold the link)."""
        limit = max(deadline, now() + self._timing.p2_star_s)
        while (late := self._receive(deadline)) is not None:
            self._retire(late)
            if now() > limit:
                return

    # --------------------------------------------------------------------------------------------

    def _check_size(self, payload: bytes) -> None:
        if not 0 < len(payload) <= self.max_request_bytes:
            raise UsageError(
                f"A request of {len(payload)} bytes does not fit this link, which carries 1 to "
                f"{self.max_request_bytes}.",
                "Use a smaller block length.",
            )

    @contextmanager
    def _hold_conversation(self) -> Iterator[None]:
        if not self._conversation.acquire(blocking=False):
            raise LinkBusy(
                "Another request is under way on this link.", "Wait until it has been answered."
            )
        try:
            yield
        finally:
            self._conversation.release()
