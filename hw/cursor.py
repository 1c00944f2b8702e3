"""The cursor: where a plan stands, and so the one request that may be sent next.

`requests` turns a plan into the sequence of its requests. It is a pure generator: it yields a
request, is sent the ECU's positive answer, and derives the next request from the plan, the payload
and that answer only. An answer that the plan does not allow ends it with `StepFailed`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from hw.errors import AbortedError
from hw.plan import (
    CheckDid,
    CommunicationControl,
    Download,
    DtcSetting,
    ReadBack,
    Reset,
    RestoreStep,
    Routine,
    Session,
    Step,
    TransferExit,
    Unlock,
    Wait,
    WriteDid,
    WritePlan,
)

KeyProvider = Callable[[str, int, bytes, dict[str, str]], bytes]
"""`hw.seedkey.key_for`: (provider, level, seed, params) -> key."""

RECOVER = "Keep the supply connected and recover the job."


class StepFailed(AbortedError):
    """The ECU's answer is positive but not the one that the plan demands."""

    code = "step_failed"

    def __init__(self, what: str) -> None:
        super().__init__(what, RECOVER)


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request of a plan.

    Attributes:
        payload: the diagnostic message.
        step: index of its step in the plan.
        repeatable: may be sent again when its answer was lost, because the protocol makes that
            safe: a TransferData block with the same counter, or a request that only reads.
        pending_limit_s: how long 0x78 answers may go on; None means the plan's own limit.
        block, blocks: number of the block in its download, from 1; 0 outside a download.
        done_bytes: payload bytes that the ECU has once it confirms this request.
    """

    payload: bytes
    step: int
    repeatable: bool = False
    pending_limit_s: float | None = None
    block: int = 0
    blocks: int = 0
    done_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait at least `min_s`, then until the ECU answers TesterPresent, at most `max_s`."""

    step: int
    min_s: float
    max_s: float


Move = PlannedRequest | Pause
Moves = Generator[PlannedRequest, bytes, None]


class Cursor:
    """Walks one plan; `hw.gate.Gate` compares each write against `expected`.

    Args:
        plan: the plan whose permit was given.
        payload: the payload file, already compared with the plan's digests.
        key_for: the seed/key providers.
    """

    def __init__(self, plan: WritePlan, payload: bytes, key_for: KeyProvider) -> None:
        self.plan = plan
        self._payload = memoryview(payload)
        self._key_for = key_for
        self._done_bytes = 0
        self.transfer_digest = ""
        self.max_request_bytes = 0
        """Longest request that the link carries; 0 while no link is open. Blocks are no longer."""
        self._sent_restorable: list[Step] = []
        self._walk = self._moves(plan.steps)
        self.move: Move | None = next(self._walk, None)

    @property
    def expected(self) -> bytes | None:
        """The plan's next request; None while it pauses and at its end."""
        return self.move.payload if isinstance(self.move, PlannedRequest) else None

    @property
    def payload(self) -> memoryview:
        """The payload file."""
        return self._payload

    def advance(self, answer: bytes) -> None:
        """Take the ECU's positive answer to `move` (empty for a pause) and go to the next move.

        Raises:
            StepFailed: the answer is not the one the plan demands.
        """
        try:
            self.move = self._walk.send(answer)
        except StopIteration:
            self.move = None

    def restore(self) -> None:
        """Leave the plan's steps; what comes next are only the requests that undo 0x28 and 0x85.

        Only what the plan has sent so far and has not undone itself is restored.
        """
        self._walk.close()
        touched = {type(step) for step in self._sent_restorable}
        self._walk = self._restoring([s for s in self.plan.restore if type(s) in touched])
        self.move = next(self._walk, None)

    def skip(self) -> None:
        """Go on to the next restore request after one that failed."""
        self.advance(b"")

    @property
    def to_restore(self) -> list[str]:
        """Services (`0x28`, `0x85`) that have been changed and not yet been put back."""
        names = {CommunicationControl: "0x28", DtcSetting: "0x85"}
        return sorted({names[type(step)] for step in self._sent_restorable if type(step) in names})

    def _moves(self, steps: Sequence[Step]) -> Generator[Move, bytes, None]:
        for index, step in enumerate(steps):
            if isinstance(step, Wait):
                yield Pause(index, step.min_s, step.max_s)
            elif isinstance(step, Download):
                yield from self._download(index, step)
            elif isinstance(step, Unlock):
                yield from self._unlock(index, step)
            elif isinstance(step, CommunicationControl | DtcSetting):
                yield from self._restorable(index, step)
            elif isinstance(step, ReadBack):
                yield from _read_back(index, step)
            else:
                yield from _exchange(index, step)
                if _starts_anew(step):
                    self._sent_restorable.clear()

    def _restoring(self, steps: Sequence[RestoreStep]) -> Moves:
        for index, step in enumerate(steps):
            # One that is not confirmed stays in `to_restore`; the others are tried all the same.
            with contextlib.suppress(StepFailed):
                yield from self._restorable(index, step)

    def _restorable(self, index: int, step: CommunicationControl | DtcSetting) -> Moves:
        if isinstance(step, CommunicationControl):
            request = bytes([0x28, step.control_type, step.communication_type])
            undone = step.control_type == 0
        else:
            request, undone = bytes([0x85, step.setting]), step.setting == 1
        # Noted before it is sent: if the answer is lost the ECU may have acted.
        if not undone:
            self._sent_restorable.append(step)
        answer = yield PlannedRequest(request, index)
        if answer:
            _demand(answer[:2], bytes([request[0] + 0x40, request[1]]), "It was not confirmed")
            if undone:
                self._sent_restorable = [
                    other for other in self._sent_restorable if not _undoes(step, other)
                ]

    def _unlock(self, index: int, step: Unlock) -> Moves:
        answer = yield PlannedRequest(bytes([0x27, step.level]), index)
        _demand(answer[:2], bytes([0x67, step.level]), "The seed was not given")
        seed = answer[2:]
        if not seed:
            raise StepFailed("The ECU confirmed the seed request and gave no seed.")
        if not any(seed):
            return  # A seed of zeros says that the level is unlocked (ISO 14229-1:2020, 10.4).
        key = self._key_for(step.provider, step.level, seed, step.params)
        answer = yield PlannedRequest(bytes([0x27, step.level + 1]) + key, index)
        _demand(answer[:2], bytes([0x67, step.level + 1]), "The key was not confirmed")

    def _download(self, index: int, step: Download) -> Moves:
        start = sum(payload.size for payload in self.plan.payloads[: step.payload])
        size = self.plan.payloads[step.payload].size
        self.transfer_digest = self.plan.payloads[step.payload].sha256
        answer = yield PlannedRequest(_request_download(step), index)
        limits = [limit for limit in (step.max_block_length, self.max_request_bytes) if limit]
        chunk = min([_block_length(answer), *limits]) - 2
        if chunk < 1:
            raise StepFailed(f"Blocks of {chunk + 2} bytes hold no data.")
        blocks = -(-size // chunk)
        for block in range(1, blocks + 1):
            offset = (block - 1) * chunk
            data = self._payload[start + offset : start + min(offset + chunk, size)]
            counter = block & 0xFF
            answer = yield PlannedRequest(
                b"".join((bytes((0x36, counter)), data)),
                index,
                repeatable=True,
                block=block,
                blocks=blocks,
                done_bytes=self._done_bytes + offset + len(data),
            )
            _demand(answer[:2], bytes((0x76, counter)), f"Block {block} was not confirmed")
        self._done_bytes += size


def _starts_anew(step: Step) -> bool:
    """Is the ECU in its default session after this, with 0x28 and 0x85 undone?

    ISO 14229-1:2020, 10.2, 10.3, 10.8: hardReset, keyOffOnReset and softReset restart it. 0x04 and
    0x05 only change how it powers down, and what others do only its maker knows.
    """
    restarts = isinstance(step, Reset) and step.reset_type in (0x01, 0x02, 0x03)
    return restarts or step == Session(session=0x01)


def _undoes(step: Step, other: Step) -> bool:
    """Does this restore request put back all that the other one switched off?

    The communication type (ISO 14229-1:2020, Annex B.1) names kinds of messages in bits 0-1 and the
    subnet in bits 4-7.
    """
    if isinstance(step, CommunicationControl) and isinstance(other, CommunicationControl):
        on, off = step.communication_type, other.communication_type
        return on >> 4 == off >> 4 and not off & 0x03 & ~on
    return type(step) is type(other)


def _request_download(step: Download) -> bytes:
    """RequestDownload (ISO 14229-1:2020, 14.2): data format, widths, address, size."""
    return (
        bytes([0x34, step.data_format, step.length_width << 4 | step.address_width])
        + step.address.to_bytes(step.address_width, "big")
        + step.uncompressed_size.to_bytes(step.length_width, "big")
    )


def _block_length(answer: bytes) -> int:
    """maxNumberOfBlockLength of a RequestDownload answer; it counts service and counter bytes."""
    width = answer[1] >> 4 if len(answer) > 1 else 0
    if answer[:1] != b"\x74" or not width or len(answer) < 2 + width:
        raise StepFailed("The ECU's answer to the download request is malformed.")
    return int.from_bytes(answer[2 : 2 + width], "big")


PlainStep = Session | WriteDid | Routine | TransferExit | CheckDid | Reset


def _exchange(index: int, step: PlainStep) -> Moves:
    """The steps of one request whose answer is known beforehand, to the last byte that counts."""
    match step:
        case Session():
            request, wanted = bytes([0x10, step.session]), bytes([0x50, step.session])
        case Reset():
            request, wanted = bytes([0x11, step.reset_type]), bytes([0x51, step.reset_type])
        case TransferExit():
            request, wanted = b"\x37" + bytes.fromhex(step.option), b"\x77"
        case WriteDid():
            did = step.did.to_bytes(2, "big")
            request, wanted = b"\x2e" + did + bytes.fromhex(step.data), b"\x6e" + did
        case CheckDid():
            did = step.did.to_bytes(2, "big")
            request, wanted = b"\x22" + did, b"\x62" + did + bytes.fromhex(step.expect)
        case _:
            head = bytes([step.sub_function]) + step.rid.to_bytes(2, "big")
            request = b"\x31" + head + bytes.fromhex(step.option)
            wanted = b"\x71" + head + bytes.fromhex(step.expect)
    checked = isinstance(step, CheckDid)
    limit = step.timeout_s if isinstance(step, Routine) else None
    answer = yield PlannedRequest(request, index, repeatable=checked, pending_limit_s=limit)
    # Session, reset and exit answers may carry ECU timing or data behind the confirmed part.
    whole = isinstance(step, CheckDid | Routine)
    _demand(answer if whole else answer[: len(wanted)], wanted, _FAILURES[type(step)])


_FAILURES: dict[type, str] = {
    Session: "The session was not confirmed",
    Reset: "The reset was not confirmed",
    TransferExit: "The transfer exit was not confirmed",
    WriteDid: "The DID was not written",
    CheckDid: "The DID does not read as planned",
    Routine: "The routine did not end as planned",
}


def _read_back(index: int, step: ReadBack) -> Moves:
    digest, position = hashlib.sha256(), 0
    widths = bytes([0x23, step.length_width << 4 | step.address_width])
    while position < step.length:
        count = min(step.block_length, step.length - position)
        request = (
            widths
            + (step.address + position).to_bytes(step.address_width, "big")
            + count.to_bytes(step.length_width, "big")
        )
        answer = yield PlannedRequest(request, index, repeatable=True)
        if answer[:1] != b"\x63" or len(answer) != count + 1:
            raise StepFailed(f"Reading back 0x{step.address + position:08X} gave a short answer.")
        digest.update(answer[1:])
        position += count
    if digest.hexdigest() != step.sha256:
        raise StepFailed(
            f"The memory from 0x{step.address:08X} does not read back as it was written."
        )


def _demand(answer: bytes, wanted: bytes, failure: str) -> None:
    if answer != wanted:
        raise StepFailed(
            f"{failure}: the ECU answered {answer[:16].hex() or 'nothing'}, "
            f"the plan demands {wanted[:16].hex()}."
        )
