"""Following a write to its outcome, and the exit code that the outcome has."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from appliance.api.messages import JobEvent, Started
from appliance.cli.output import console, say
from appliance.cli.progress import display_for
from appliance.client import Client
from hw.errors import AbortedError, FieldKitError, RefusedError, UnavailableError

EXIT_CODES = {"verified": 0, "aborted_recoverable": 75, "refused": 77}


class WriteCutOff(AbortedError):
    """The gate cut the write; it waits for the technician."""

    code = "cut"


@dataclass(frozen=True)
class Followed:
    """How a write ended, or `cut` where it waits for a new acknowledgment."""

    outcome: str
    what: str
    next_step: str
    last: int
    """Number of the last event that was seen."""


def follow(
    client: Client, started: Started, title: str, *, as_json: bool, to: Console | None = None
) -> Followed:
    """Show a write until its outcome, or until the gate cuts it.

    Raises:
        UnavailableError: the appliance is gone; the sentence says how to go on.
    """
    try:
        with display_for(to or console, title, as_json=as_json) as display:
            for event in client.events(started.job, started.after, follow=True):
                if event.run != started.run:
                    continue
                display.show(event)
                if (end := _end(event)) is not None:
                    return end
    except UnavailableError as error:
        raise UnavailableError(
            f"The write cannot be followed any more: {error.what}",
            "It goes on by itself. Start the appliance again, unlock it, then run "
            f"'fieldkit job show {started.job} --follow'.",
        ) from error
    raise UnavailableError(
        "The appliance ended the stream before the write ended.",
        f"The write goes on by itself; run 'fieldkit job show {started.job} --follow'.",
    )


def _end(event: JobEvent) -> Followed | None:
    if event.kind == "outcome":
        body = event.body
        return Followed(body["outcome"], body["what"], body["next_step"], event.seq)
    if event.kind == "gate" and event.body["state"] == "CUT":
        body = event.body
        return Followed("cut", body["reason"], body["next_step"], event.seq)
    return None


def tell_outcome(end: Followed, *, as_json: bool) -> int:
    """Say how a write ended.

    Returns:
        The exit code, 0 for a verified write.

    Raises:
        AbortedError, RefusedError: it did not end verified; told like every other error.
    """
    if end.outcome == "verified":
        if not as_json:
            say(f"verified. {end.what}", style="bold green")
        return EXIT_CODES["verified"]
    raise _ending(end)


def _ending(end: Followed) -> FieldKitError:
    if end.outcome == "refused":
        return RefusedError("PERMIT", end.what, end.next_step)
    if end.outcome == "cut":
        return WriteCutOff(end.what, end.next_step)
    return AbortedError(f"aborted_recoverable. {end.what}", end.next_step)
