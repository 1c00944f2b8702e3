"""The dry run: a plan in plain words, one line for each step, with sizes and estimated times."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from appliance.api.messages import Description, PlanStep, StepKind
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

DEFAULT_BITRATE = 500_000
"""bit/s of a CAN link that does not say; the usual one on diagnostic connectors."""
# Bits of one full data frame on the wire, with average stuffing and the interframe space.
_CAN_FRAME_BITS = {False: 125, True: 148}
_CAN_FRAME_DATA = 7
_CAN_FD_FRAME_DATA = 63
_CAN_FD_DATA_BITS = 8 * 64 + 60
_DOIP_BYTES_PER_S = 8_000_000.0  # 100BASE-TX, less headers and acknowledgments

_ROUTINES = {
    "erase": "Erase",
    "check_memory": "Let the ECU check its memory",
    "check_dependencies": "Let the ECU check that its parts fit each other",
    "other": "Run",
}


def bytes_per_second(link: str) -> float | None:
    """Payload bytes per second that a link carries at best; None where that is not known."""
    parts = urlsplit(link)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme in ("doip", "doip+tls"):
        return _DOIP_BYTES_PER_S
    if parts.scheme != "can":
        return None
    bitrate = _positive(query.get("bitrate", ""), DEFAULT_BITRATE)
    head_bits = _CAN_FRAME_BITS[query.get("ext", "0") == "1"]
    if query.get("fd", "0") == "1":
        data_rate = _positive(query.get("dbitrate", ""), bitrate)
        seconds = (head_bits - 64) / bitrate + _CAN_FD_DATA_BITS / data_rate
        return _CAN_FD_FRAME_DATA / seconds
    return _CAN_FRAME_DATA * bitrate / head_bits


def _positive(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and int(text) > 0 else otherwise


def describe(plan: WritePlan) -> Description:
    """Say what a plan does, without sending anything.

    The target's own identification (VIN, serial number) is named by its DIDs and never printed: a
    dry run is shown to bystanders and pasted into messages.
    """
    speed = bytes_per_second(plan.target.link)
    private = {item.did for item in (*plan.target.identity, *plan.target.boot_identity)}
    head = [
        f"{plan.title} (job {plan.job}, profile {plan.profile}).",
        f"Over {plan.target.link}.",
        _supply(plan),
    ]
    if plan.recovers:
        head.append(f"This finishes the interrupted plan {plan.recovers}.")
    undo = "; ".join(_silence(step) for step in plan.restore)
    return Description(
        head=head,
        steps=[
            PlanStep(kind=kind_of(step), text=_step(step, plan, speed, private))
            for step in plan.steps
        ],
        tail=[f"On every way out: {undo}." if undo else "Nothing has to be restored."],
        duration=_duration(plan, speed),
    )


def kind_of(step: Step) -> StepKind:
    """What a step does to the ECU."""
    match step:
        case Routine(purpose="erase"):
            return "erase"
        case CheckDid() | Routine(purpose="check_memory" | "check_dependencies"):
            return "check"
        case Download() | TransferExit() | WriteDid():
            return "write"
        case ReadBack():
            return "read"
        case Reset() | Wait():
            return "restart"
        case Session() | Unlock() | CommunicationControl() | DtcSetting():
            return "prepare"
    return "other"


def _supply(plan: WritePlan) -> str:
    window = plan.window
    return (
        f"Supply: {window.start_min_v:g} to {window.start_max_v:g} V for {window.settle_s:g} s to "
        f"begin, hold below {window.hold_v:g} V, cut below {window.cut_v:g} V or above "
        f"{window.over_v:g} V."
    )


def _step(step: Step, plan: WritePlan, speed: float | None, private: set[int]) -> str:
    if isinstance(step, Routine):
        return _routine(step)
    if isinstance(step, CommunicationControl | DtcSetting):
        return f"{_silence(step).capitalize()}."
    if isinstance(step, Download | ReadBack | TransferExit):
        return _memory(step, plan, speed)
    if isinstance(step, CheckDid | WriteDid):
        return _did(step, private)
    return _state(step)


def _state(step: Session | Unlock | Reset | Wait) -> str:
    match step:
        case Session():
            return f"Enter session 0x{step.session:02X}."
        case Unlock():
            return f"Unlock security level 0x{step.level:02X} ({step.provider})."
        case Reset():
            return f"Reset the ECU (type 0x{step.reset_type:02X})."
        case Wait():
            return f"Wait {step.min_s:g} to {step.max_s:g} s until the ECU answers again."


def _did(step: CheckDid | WriteDid, private: set[int]) -> str:
    if isinstance(step, WriteDid):
        return f"Write 0x{step.did:04X}: {step.data}."
    if step.did in private:
        return f"Check that 0x{step.did:04X} still answers what it answered when this was planned."
    return f"Check that 0x{step.did:04X} answers {step.expect}."


def _memory(step: Download | ReadBack | TransferExit, plan: WritePlan, speed: float | None) -> str:
    if isinstance(step, TransferExit):
        return "End the transfer, if exactly these bytes went out."
    if isinstance(step, ReadBack):
        return (
            f"Read back {step.length} bytes from 0x{step.address:08X} and compare their SHA-256 "
            f"{step.sha256[:16]}…{_about(step.length, speed)}."
        )
    payload = plan.payloads[step.payload]
    packed = f", data format 0x{step.data_format:02X}" if step.data_format else ""
    return (
        f"Write {payload.size} bytes to 0x{step.address:08X}{packed}: {payload.name}, SHA-256 "
        f"{payload.sha256[:16]}…{_about(payload.size, speed)}."
    )


def _routine(step: Routine) -> str:
    option = f" with {step.option}" if step.option else ""
    return (
        f"{_ROUTINES[step.purpose]}: routine 0x{step.rid:04X}{option}, must answer "
        f"{step.expect or 'without status'}, at most {step.timeout_s:g} s."
    )


def _silence(step: RestoreStep) -> str:
    if isinstance(step, DtcSetting):
        words = {0x01: "on", 0x02: "off"}
        return f"trouble code storage {words.get(step.setting, f'0x{step.setting:02X}')} (0x85)"
    kind = "normal communication on" if step.control_type == 0 else "normal communication limited"
    return f"{kind} (0x28 0x{step.control_type:02X} 0x{step.communication_type:02X})"


def _about(size: int, speed: float | None) -> str:
    return f", about {_time(size / speed)}" if speed else ""


def _time(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _duration(plan: WritePlan, speed: float | None) -> str:
    """Estimate for what the link carries, and the limits for what only the ECU knows."""
    carried = plan.payload_size + sum(
        step.length for step in plan.steps if isinstance(step, ReadBack)
    )
    limit = sum(step.timeout_s for step in plan.steps if isinstance(step, Routine))
    limit += sum(step.max_s for step in plan.steps if isinstance(step, Wait))
    if not carried:
        sent = "Only short messages cross the link"
    elif speed is None:
        sent = f"{carried} bytes cross the link, at a speed that is not known"
    else:
        sent = f"{carried} bytes cross the link in about {_time(carried / speed)}"
    if not limit:
        return f"{sent}."
    return f"{sent}; erasing, checking and restarting may take up to {_time(limit)} more."
