"""Commands on the way to the workshop."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.api import messages as m
from appliance.cli.options import Json
from appliance.cli.output import counted, facts, say, say_json
from appliance.client import Client

sync_app = typer.Typer(help="The way to the workshop: records and backups are handed over there.")


@sync_app.command("enrol")
def enrol(
    code: Annotated[str, typer.Argument(metavar="CODE", help="As the office shows it.")],
    as_json: Json = False,
) -> None:
    """Let this kit in at a workshop; needs an unlocked kit and its owner."""
    with Client() as client:
        reply = client.sync_enrol(code)
    if as_json:
        say_json(reply)
    else:
        say(reply.what)


@sync_app.command("status")
def status(as_json: Json = False) -> None:
    """What waits to be handed over, and what keeps it."""
    with Client() as client:
        _tell(client.sync(), as_json=as_json)


@sync_app.command("now")
def now(as_json: Json = False) -> None:
    """Hand over what is new now, as the kit does by itself; what was put aside is tried again."""
    with Client() as client:
        _tell(client.sync_now(), as_json=as_json)


def _tell(view: m.Sync, *, as_json: bool) -> None:
    if as_json:
        say_json(view)
        return
    facts(
        (name, text)
        for name, text in (
            ("state", view.state.replace("_", " ")),
            ("workshop", view.workshop or "none"),
            ("this kit", view.kit),
            ("waiting", counted(view.waiting, "record")),
            ("in work", counted(view.in_work, "job") if view.in_work else ""),
            ("sending", _progress(view)),
            ("put aside", counted(view.put_aside, "record") if view.put_aside else ""),
            *(("", f"job {one.job}: {one.why}") for one in view.aside),
            ("retirable", counted(view.retirable, "job") if view.retirable else ""),
            (
                "at the workshop only",
                f"files of {counted(view.retired, 'job')}" if view.retired else "",
            ),
            ("handed over", view.handed_over),
            ("last heard", view.silence.heard if view.silence else ""),
            *(("not taken", why) for why in view.changes_put_aside),
            ("", f"{view.what} {view.next_step}".strip()),
            ("", f"{view.silence.what} {view.silence.next_step}".strip() if view.silence else ""),
        )
        if text
    )


def _progress(view: m.Sync) -> str:
    if not view.job:
        return ""
    return f"job {view.job}, {view.sent_bytes / 1e6:.1f} of {view.total_bytes / 1e6:.1f} MB"
