"""Commands for what the workshop keeps: take it out, prove it, open a backup."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import Json
from appliance.cli.output import counted, say, say_json
from appliance.cli.workshop import Database, Folder, Store, open_workshop
from hw.errors import BadInputError
from hw.sshsig import fingerprint

# The hub's libraries are imported by these commands only: no kit needs them.
if TYPE_CHECKING:
    from appliance.workshop.checking import Check, Finding

_RESTORE = "Put it back from an export or a backup of the workshop's machine; the kits have theirs."


def export(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="New, or an export to bring up to now.")
    ],
    folder: Folder = None,
    database: Database = "",
    blobs: Store = "",
    as_json: Json = False,
) -> None:
    """Write all that the workshop has to a folder that opens without this software."""
    from appliance.workshop.export.writing import export_workshop  # noqa: PLC0415 - see above

    hub, keys = open_workshop(folder, database, blobs)
    done = export_workshop(hub, keys.authority, target)
    for item, why in done.damaged:
        _tell(item, why, as_json=as_json)
    if as_json:
        say_json({"records": done.records, "blobs": done.blobs, "bytes": done.bytes})
    else:
        held = f"{counted(done.records, 'record')} and {counted(done.blobs, 'file')}"
        say(f"{held}, {counted(done.bytes, 'byte')}, now in {target}.")
        say(f"Next: sh {target}/check.sh, on any machine; {target}/OPEN-ME.txt says the rest.")
    if done.damaged:
        raise BadInputError(
            f"Damaged at the workshop: {counted(len(done.damaged), 'thing')}.", _RESTORE
        )


def verify(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="An export; without it, what the workshop has now."),
    ] = None,
    folder: Folder = None,
    database: Database = "",
    blobs: Store = "",
    as_json: Json = False,
) -> None:
    """Prove every signature, chain, receipt and file again; names what is wrong."""
    from appliance.workshop.checking import Check  # noqa: PLC0415 - see above
    from appliance.workshop.export.reading import ExportFolder  # noqa: PLC0415 - see above
    from appliance.workshop.kept import LiveHub  # noqa: PLC0415 - see above

    first: Iterator[Finding] = iter(())
    if source is None:
        live = LiveHub(open_workshop(folder, database, blobs)[0])
        check, key = Check(live), live.workshop
    else:
        exported = ExportFolder(source)
        first = exported.findings()
        check, key = Check(exported), exported.workshop
    wrong = 0
    for finding in chain(first, check.findings()):
        wrong += 1
        _tell(finding.item, finding.what, as_json=as_json)
    _conclude(check, wrong, fingerprint(key), as_json=as_json)


def _conclude(check: Check, wrong: int, key: str, *, as_json: bool) -> None:
    if as_json:
        counts = {"records": check.records, "blobs": check.blobs, "wrong": wrong, "key": key}
        say_json(counts)
    else:
        looked = f"{counted(check.records, 'record')} and {counted(check.blobs, 'file')}"
        say(f"Looked at {looked}.")
        say(f"The workshop's key is {key}: compare it with the workshop's paper.")
    if wrong:
        raise BadInputError(f"Wrong: {counted(wrong, 'thing')}.", _RESTORE)


def open_kept(
    wanted: Annotated[str, typer.Argument(metavar="JOB|BACKUP", help="A job's or backup's id.")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it is written down.")
    ] = "",
    folder: Folder = None,
    database: Database = "",
    blobs: Store = "",
    as_json: Json = False,
) -> None:
    """Decrypt backups with the workshop's identity; who, when and why is written down."""
    from appliance.workshop.opening import Opener, person  # noqa: PLC0415 - see above

    hub, keys = open_workshop(folder, database, blobs)
    opened = Opener(hub, keys.folder, person()).open(wanted, target, reason)
    if as_json:
        say_json(
            {
                "who": person(),
                "backups": [one.backup for one in opened.backups],
                "files": [str(path) for path in opened.files],
            }
        )
        return
    for path in opened.files:
        say(str(path))
    held = counted(len(opened.backups), "backup")
    say(f"Written down: {person()} opened {held}: {reason.strip()}")
    say(f"{target} holds a vehicle's data in the clear; remove it when you are done.")


def _tell(item: str, why: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"item": item, "what": why})
    else:
        say(f"WRONG  {item}: {why}", style="bold red")
