"""Commands for the technicians whom the workshop gives to its kits."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli import ask
from appliance.cli.options import Json, NewPassphraseFile
from appliance.cli.output import say, say_json, table
from appliance.cli.workshop import Database, Folder, open_workshop
from appliance.identity.kit import checked_name, checked_role
from appliance.identity.wallclock import rfc3339

workshop_technician_app = typer.Typer(help="Technicians of all kits of this workshop.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Short, without spaces.")]


@workshop_technician_app.command("add")
def add(
    name: Name,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="technician or owner, of the kits.")
    ] = "technician",
    new_passphrase_file: NewPassphraseFile = None,
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Let somebody use every kit, each from when it next comes. They choose their passphrase."""
    from appliance.workshop.audit import CONSOLE  # noqa: PLC0415 - the hub's libraries
    from appliance.workshop.technicians import add_technician  # noqa: PLC0415 - as above

    checked_name(name)
    checked_role(role)
    hub, _ = open_workshop(folder, database)
    chosen = ask.new_passphrase(new_passphrase_file, name)
    change = add_technician(hub, name, role, chosen, CONSOLE)
    if as_json:
        say_json({"technician": change.subject, "version": change.version})
    else:
        say(f"'{change.subject}' can use every kit from when it next comes.")


@workshop_technician_app.command("remove")
def remove(
    name: Name, folder: Folder = None, database: Database = "", as_json: Json = False
) -> None:
    """Take somebody off every kit when it next comes; a kit's own of that name stays."""
    from appliance.workshop.audit import CONSOLE  # noqa: PLC0415 - the hub's libraries
    from appliance.workshop.technicians import remove_technician  # noqa: PLC0415 - as above

    checked_name(name)
    hub, _ = open_workshop(folder, database)
    change = remove_technician(hub, name, CONSOLE)
    if as_json:
        say_json({"removed": name, "version": change.version})
    else:
        say(f"'{name}' is taken off every kit when it next comes.")


@workshop_technician_app.command("list")
def list_technicians(folder: Folder = None, database: Database = "", as_json: Json = False) -> None:
    """List whom the workshop gave to its kits; kits may have others of their own."""
    from appliance.workshop.technicians import kit_technicians  # noqa: PLC0415 - as above

    hub, _ = open_workshop(folder, database)
    found = [
        {
            "name": one.name,
            "role": one.role,
            "added": rfc3339(one.added),
            "removed": rfc3339(one.removed),
        }
        for one in kit_technicians(hub)
    ]
    if as_json:
        say_json({"technicians": found})
    else:
        table(("technician", "role", "added", "removed"), (tuple(one.values()) for one in found))
