"""Commands of the workshop's own machine that tell every kit something."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import Json
from appliance.cli.output import read_file, say, say_json
from appliance.cli.workshop import Database, Folder, open_workshop
from appliance.identity.kit import checked_name
from appliance.profiles.loader import checked_profile_name, parse_profile, signature_path
from appliance.sync.change import ProfileIssued, Revocation
from hw.errors import BadInputError, UsageError
from hw.sshsig import sign
from hw.statements import NAMESPACE_PROFILE

publish_app = typer.Typer(help="Tell every kit: profiles, texts, and what counts no more.")


class Revocable(StrEnum):
    """What a kit can be told not to trust any more."""

    TECHNICIAN = "technician"
    PROFILE = "profile"


@publish_app.command("profile")
def profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile, NAME.toml.")],
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Give a profile to every kit. With no FILE.sig beside it, the workshop's key signs it.

    A kit takes it only if it was made for this workshop:
    fieldkit init --workshop-key keys/signing.pub.
    """
    document = read_file(file, "profile")
    name = parse_profile(document, file).name
    beside = signature_path(file)
    hub, keys = open_workshop(folder, database)
    signature = (
        read_file(beside, "signature")
        if beside.exists()
        else sign(document, keys.signing, NAMESPACE_PROFILE)
    )
    issued = ProfileIssued(
        name=name, document=document.decode(), signature=_text(signature, beside)
    )
    _told(hub.publish("profile", name, issued).version, f"profile {name}", as_json=as_json)


@publish_app.command("text")
def text(
    name: Annotated[str, typer.Argument(metavar="NAME", help="terms, immobiliser, …")],
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="en, af or de.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="UTF-8 text.")],
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Give a text that people agree to to every kit; it replaces the one of that name."""
    from appliance.workshop.texts import publish_text  # noqa: PLC0415 - the hub's libraries

    content = _text(read_file(file, "text"), file)
    hub, keys = open_workshop(folder, database)
    issued = publish_text(hub.database, keys.signing, name, language, content)
    _told(issued.version, f"text {name} ({language})", as_json=as_json)


@publish_app.command("revocation")
def revocation(
    what: Annotated[Revocable, typer.Argument(help="What kind of thing.")],
    name: Annotated[str, typer.Argument(metavar="NAME")],
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Take a technician or a profile off every kit, also off those that are enrolled later.

    A kit itself is shut out with: fieldkit workshop revoke.
    """
    checked = checked_name if what is Revocable.TECHNICIAN else checked_profile_name
    from appliance.workshop.technicians import kit_technicians  # noqa: PLC0415 - the hub's libraries

    revoked = Revocation(what=what.value, name=checked(name))
    hub, _ = open_workshop(folder, database)
    own = {one.name for one in kit_technicians(hub) if not one.removed}
    if what is Revocable.TECHNICIAN and revoked.name in own:
        raise UsageError(
            f"The workshop gave '{revoked.name}' to its kits.",
            f"Take them back: fieldkit workshop technician remove {revoked.name}",
        )
    change = hub.publish("revocation", f"{revoked.what}/{revoked.name}", revoked)
    _told(change.version, f"revocation of the {revoked.what} {revoked.name}", as_json=as_json)


def _text(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{file} is not UTF-8 text.", "Save it as UTF-8.") from error


def _told(version: int, what: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"published": what, "version": version})
    else:
        say(f"Version {version} of the {what} goes to every kit when it next comes.")
