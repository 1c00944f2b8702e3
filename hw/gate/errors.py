"""What the gate says to a request or a frame that must not go out.

All three leave the ECU untouched by the message in question: `NotPlanned` and the message check
come before the first frame, the frame check before the next one, so that the ECU never receives a
complete message that the gate did not let pass.
"""

from __future__ import annotations

from hw.errors import FieldKitError, RefusedError


class NotPlanned(RefusedError):
    """A request that is not on the read list and not the plan's next write; nothing was sent.

    The caller can only send what the plan says; there is no way around the permit.
    """

    code = "not_planned"

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__("PERMIT", what, next_step)


class WriteHeld(FieldKitError):
    """The supply sags: this write message was not sent, or was dropped unfinished.

    The executor waits until the gate is OPEN again and then asks for the same bytes once more.
    """

    code = "write_held"
    exit_status = 75


class WriteCut(FieldKitError):
    """The gate cut the write (supply out of its limits, sensor lost, permit expired).

    The executor stops; it goes on only with a new acknowledgment of the technician, else the
    outcome is `aborted_recoverable` and the journal says where.
    """

    code = "write_cut"
    exit_status = 75
