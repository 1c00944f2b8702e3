"""Commands for the people of the office's pages: the first owner can be made only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import Json
from appliance.cli.output import console, say, say_json, table
from appliance.cli.workshop import Database, Folder, open_workshop
from hw.errors import UsageError

# The hub's libraries are imported by these commands only: no kit needs them.
if TYPE_CHECKING:
    from pathlib import Path

    from appliance.workshop.people import People

person_app = typer.Typer(help="Who may use the office's pages.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's.")]


@person_app.command("add")
def add(
    name: Name,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="technician, office or owner")
    ] = "office",
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Add a person; prints the one-time word with which they log in for the first time."""
    from appliance.workshop.audit import CONSOLE  # noqa: PLC0415 - see above

    _show(_people(folder, database).add(name, role, CONSOLE), as_json)


@person_app.command("renew")
def renew(
    name: Name, folder: Folder = None, database: Database = "", as_json: Json = False
) -> None:
    """Print a new one-time word for somebody who lost password or phone; the old ones end."""
    from appliance.workshop.audit import CONSOLE  # noqa: PLC0415 - see above

    people = _people(folder, database)
    found = [one.id for one in people.all() if one.name == name]
    if not found:
        raise UsageError(f"There is no person '{name}'.", "See 'fieldkit workshop person list'.")
    _show(people.renew(found[0], CONSOLE), as_json)


@person_app.command("list")
def list_people(folder: Folder = None, database: Database = "", as_json: Json = False) -> None:
    """List who may use the pages."""
    found = _people(folder, database).all()
    if as_json:
        say_json(
            {
                "people": [
                    {"name": one.name, "role": one.role, "set_up": one.set_up} for one in found
                ]
            }
        )
        return
    rows = ((one.name, one.role, "" if one.set_up else "has not logged in yet") for one in found)
    table(("name", "role", ""), rows)


def _people(folder: Path | None, database: str) -> People:
    from appliance.workshop.people import People  # noqa: PLC0415 - see above

    hub, _ = open_workshop(folder, database)
    return People(hub.database, hub.now)


def _show(word: str, as_json: bool) -> None:
    if as_json:
        say_json({"word": word})
        return
    say("The one-time word, good for a week; they log in with it at /first:")
    console.print(word, soft_wrap=True, highlight=False)
