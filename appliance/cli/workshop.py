"""Commands of the workshop's own machine: make it, serve kits, let kits in and shut them out."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import Json
from appliance.cli.output import console, facts, say, say_json, table, write_new
from hw.errors import UsageError
from hw.sshsig import fingerprint

# The hub's libraries are imported by these commands only: no kit needs them.
if TYPE_CHECKING:
    from appliance.workshop.hub import Hub
    from appliance.workshop.keys import WorkshopKeys

workshop_app = typer.Typer(help="The workshop's hub: where kits hand records and backups over.")
PORT = 8443
Port = Annotated[int, typer.Option("--port", metavar="N", min=1, max=65_535)]

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="The workshop's; else $FIELDKIT_WORKSHOP."),
]
Database = Annotated[
    str,
    typer.Option(
        "--database", metavar="URL", help="postgresql://… or cockroachdb://…; else SQLite."
    ),
]
Store = Annotated[
    str, typer.Option("--blobs", metavar="URL", help="s3://bucket/…; else a folder beside it.")
]


@workshop_app.command("init")
def init(
    address: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="NAME", help="Name or IP address for kits; may be given again."
        ),
    ] = None,
    paper: Annotated[
        Path | None,
        typer.Option("--paper", metavar="FILE.pdf", help="A page to print, with a QR code."),
    ] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Make the workshop's keys. The recovery identity is shown once and never stored."""
    from appliance.workshop.keys import init_workshop, workshop_dir  # noqa: PLC0415 - see above

    where = folder or workshop_dir()
    if paper is not None and paper.exists():
        raise UsageError(f"{paper} exists already and is left as it is.", "Name another file.")
    if paper is not None and paper.resolve().is_relative_to(where.resolve()):
        raise UsageError(
            "The paper's file would lie in the workshop's own folder, and in its backups.",
            "Name a file elsewhere, best in memory only, such as below /dev/shm.",
        )
    try:
        made = init_workshop(where, address or [], lambda identity: _prove(identity, paper))
    except BaseException:
        if paper is not None:
            paper.unlink(missing_ok=True)  # An identity that opens nothing must not be kept.
        raise
    if as_json:
        say_json(
            {
                "folder": str(where),
                "authority": made.fingerprint,
                "workshop_recipient": made.workshop_recipient,
                "recovery_recipient": made.recovery_recipient,
                "signing_key": fingerprint(made.signing.public_key()),
            }
        )
        return
    say(f"The workshop is made in {where}.", style="bold")
    facts(
        [
            ("authority", made.fingerprint),
            ("workshop's recipient", made.workshop_recipient),
            ("recovery's recipient", made.recovery_recipient),
            ("signing key", fingerprint(made.signing.public_key())),
        ]
    )
    say("Write the signing key on the paper, too: by it an export is known to be yours.")
    if paper is not None:
        say(f"Delete {paper} when it is printed: whoever has it can open every backup.")
    say("Next: fieldkit workshop serve")


def open_workshop(folder: Path | None, database: str, blobs: str = "") -> tuple[Hub, WorkshopKeys]:
    """The hub and the keys of the workshop in a folder."""
    from appliance.workshop.keys import workshop_dir  # noqa: PLC0415 - see above
    from appliance.workshop.program import open_hub  # noqa: PLC0415 - see above

    return open_hub(folder or workshop_dir(), database, blobs)


def _prove(identity: str, paper: Path | None) -> str:
    """Show the recovery identity, and have it given back from where it was put."""
    from appliance.workshop.paper import recovery_code, recovery_paper  # noqa: PLC0415 - see above

    say("The recovery identity opens every backup when all else is lost. It is shown only now:")
    console.print(identity, style="bold", soft_wrap=True)
    if console.is_terminal:
        recovery_code(identity).terminal(compact=True)
    if paper is None:
        say("Write it on paper, put that into a safe, and type it from the paper:")
    else:
        write_new(paper, recovery_paper(identity, datetime.now(UTC).date()))
        say(f"Print {paper}: it is the only copy. Put the print into a safe.")
        say("Type the identity from the print, or scan the code on it:")
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    return console.input("> ")


@workshop_app.command("serve")
def serve_hub(
    host: Annotated[str, typer.Option("--host", metavar="IP", help="To listen on.")] = "0.0.0.0",  # noqa: S104 - kits come from the network
    port: Port = PORT,
    folder: Folder = None,
    database: Database = "",
    blobs: Store = "",
    as_json: Json = False,
) -> None:
    """Serve kits and the office's pages until Ctrl-C."""
    from appliance.workshop.program import serve  # noqa: PLC0415 - see above

    hub, keys = open_workshop(folder, database, blobs)

    def ready() -> None:
        if as_json:
            say_json({"event": "ready", "port": port})
        else:
            say(f"The workshop serves kits and the office's pages on port {port}.")
            say(f"Pages: https://{keys.addresses[0]}:{port}/   Stop it with Ctrl-C.")

    serve(hub, keys, host, port, ready)


@workshop_app.command("enrol")
def enrol(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the kit.")],
    address: Annotated[
        str, typer.Option("--address", metavar="NAME", help="Where kits reach the hub.")
    ] = "",
    port: Port = PORT,
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Print a one-time code that lets one kit in; on the kit: fieldkit sync enrol CODE."""
    from appliance.sync.enrolcode import enrol_code  # noqa: PLC0415 - see above

    hub, keys = open_workshop(folder, database)
    host = address or keys.addresses[0]
    code = enrol_code(host, port, hub.new_token(name), keys.fingerprint)
    if as_json:
        say_json({"code": code})
    else:
        console.print(code, soft_wrap=True, highlight=False)


@workshop_app.command("kits")
def kits(folder: Folder = None, database: Database = "", as_json: Json = False) -> None:
    """List the kits that were let in."""
    hub, _ = open_workshop(folder, database)
    found = hub.kits()
    if as_json:
        say_json({"kits": found})
        return
    table(
        ("kit", "name", "last hello", "", "waiting", "shut out"),
        (
            (
                *(kit["id"], kit["name"], kit["hello"], "silent" if kit["silent"] else ""),
                *(str(kit["waiting"]), kit["revoked"]),
            )
            for kit in found
        ),
    )


@workshop_app.command("revoke")
def revoke(
    kit: Annotated[str, typer.Argument(metavar="KIT", help="Its id or its name.")],
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Shut a kit out, at once; what it handed over stays."""
    hub, _ = open_workshop(folder, database)
    fitting = [one["id"] for one in hub.kits() if kit in (one["id"], one["name"])]
    if len(fitting) != 1:
        raise UsageError(
            f"{len(fitting)} kits are called '{kit}'.", "See 'fieldkit workshop kits'."
        )
    hub.revoke(fitting[0])
    if as_json:
        say_json({"revoked": fitting[0]})
    else:
        say(f"The kit {fitting[0]} is shut out.")
