"""The diagnostics archive: one ZIP file of JSON documents and logs, everything in it masked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.api import messages as m
from appliance.diagnostics.known import RecordHead
from appliance.diagnostics.mask import HIDDEN, Mask
from appliance.profiles.loader import load_profile
from hw.config import load_config
from hw.errors import FieldKitError
from hw.messages import RunInfo

README = """\
Diagnostics of the field kit {kit}, {wall}
{line}

  about.json      versions, storage
  status.json     the kit in that moment
  doctor.json     everything that a write needs, looked at
  config.json     kit.toml
  runs.json       the journal's list of writes
  records.json    state and head of every job's record{records}
  profiles.json   profiles with their digests
  logs/           the last words of the kit's processes{logs}

Left out: keys, passphrases, backups, payloads, and everything about customers. What stood in a text
and looked like a secret, a VIN or an e-mail address, or is known of a customer, reads {hidden}.
A VIN keeps the three letters that name its maker.
"""
_LOCKED = " (not here: the kit was locked)"


@dataclass(frozen=True)
class Bundle:
    """Everything that goes into an archive.

    Attributes:
        about, status, doctor: as the API tells them.
        runs: the journal's.
        records: the head of every job; None while the kit is locked.
        logs: name and text of each; None while the kit is locked, because the customers' names
            that may stand in them are not known then.
    """

    about: m.About
    status: m.KitStatus
    doctor: m.Doctor
    runs: Sequence[RunInfo]
    records: Sequence[RecordHead] | None
    logs: Iterable[tuple[str, str]] | None


def bundle(found: Bundle, state: Path, mask: Mask) -> m.File:
    """Pack an archive.

    Args:
        found: what goes in.
        state: the kit's state folder.
        mask: takes secrets and customers out.

    Returns:
        The archive, under the name that it should have.
    """
    wall = found.status.clock.wall
    files = {
        "about.json": found.about,
        "status.json": msgspec.structs.replace(found.status, technician=""),
        "doctor.json": found.doctor,
        "config.json": _config(state),
        "runs.json": list(found.runs),
        "records.json": found.records,
        "profiles.json": _profiles(state),
    }
    texts = {name: _json(content, mask) for name, content in files.items()}
    texts |= {f"logs/{name}": mask.text(text) for name, text in found.logs or ()}
    title = README.format(
        kit=found.about.kit,
        wall=wall,
        line="=" * 72,
        records=_LOCKED if found.records is None else "",
        logs=_LOCKED if found.logs is None else "",
        hidden=HIDDEN,
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"README.txt": title, **texts}.items():
            archive.writestr(f"{_stem(found)}/{name}", text)
    return m.File(name=f"{_stem(found)}.zip", content=out.getvalue())


def _stem(found: Bundle) -> str:
    return f"fieldkit-diagnostics-{found.about.kit}-{found.status.clock.wall[:10]}"


def _json(content: object, mask: Mask) -> str:
    value = mask.value(msgspec.to_builtins(content))
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _config(state: Path) -> object:
    """The configuration as far as its keys are known ones, which hold no secret."""
    try:
        return load_config(state)
    except FieldKitError as error:
        return {"problem": error.what}


class _Profile(Struct, frozen=True, kw_only=True):
    name: str
    sha256: str = ""
    problem: str = ""


def _profiles(state: Path) -> list[_Profile]:
    names = sorted(path.stem for path in (state / "profiles").glob("*.toml"))
    return [_profile(name, state) for name in names]


def _profile(name: str, state: Path) -> _Profile:
    try:
        return _Profile(name=name, sha256=load_profile(name, state).sha256)
    except FieldKitError as error:
        return _Profile(name=name, problem=error.what)
