"""The technicians whom the workshop gives to its kits, and takes off them.

Every kit that comes is told. What they are let in with is made here and sealed under their
passphrase (`appliance.identity.issued`); the workshop keeps nothing that opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.identity import RemovedTechnician, issue_technician
from appliance.identity.kit import checked_name, checked_role
from appliance.sync.change import Change
from appliance.workshop.audit import note
from appliance.workshop.errors import NotThere
from appliance.workshop.feed import hold_numbers, publish
from appliance.workshop.hub import Hub
from appliance.workshop.tables import Models
from hw.errors import UsageError

KIND = "technician"


@dataclass(frozen=True)
class KitTechnician:
    """A technician of the workshop's kits; times in seconds since 1970, `removed` 0 for never."""

    name: str
    role: str
    added: int
    removed: int


def add_technician(hub: Hub, name: str, role: str, passphrase: str, by: str) -> Change:
    """Let somebody use every kit of this workshop, from when the kit next comes.

    Args:
        role: `technician` or `owner`, of the kits.
        passphrase: theirs, for kits.
        by: who does it.

    Raises:
        UsageError: there is one of that name.
        BadInputError: name, role or passphrase is unusable.
    """
    known = checked_name(name)
    checked = checked_role(role)
    before = _keys_of(hub, known)
    issued = issue_technician(known, checked, passphrase, before)

    def tell(tables: Models) -> Change:
        hold_numbers(hub.database, tables)  # Two at once would both find the name free.
        technicians, now = tables.technicians, int(hub.now())
        row = technicians.get_or_none(technicians.name == known)
        if row is not None and (not row.removed or _lines(row.keys) != before):
            raise UsageError(
                f"The kits have a technician '{known}' already.",
                "Choose another name, or remove that one first.",
            )
        technicians.delete().where(technicians.name == known).execute()
        keys = "\n".join([*before, issued.key])
        technicians.create(name=known, role=checked, keys=keys, added=now)
        note(tables, now, by, f"gave the kits a technician ({checked})", known)
        return publish(hub.database, tables, hub.key, KIND, known, issued)

    return hub.database.write(tell)


def remove_technician(hub: Hub, name: str, by: str) -> Change:
    """Take a technician of the workshop off every kit. A kit's own of that name stays.

    Raises:
        NotThere: there is none.
    """

    def tell(tables: Models) -> Change:
        technicians, now = tables.technicians, int(hub.now())
        row = technicians.get_or_none(technicians.name == name)
        if row is None or row.removed:
            raise NotThere(
                f"The workshop gave the kits no technician '{name}'.",
                "See the list; one whom only kits have is revoked by "
                "'fieldkit workshop publish revocation technician NAME'.",
            )
        technicians.update(removed=now).where(technicians.name == name).execute()
        note(tables, now, by, "took a technician off the kits", name)
        gone = RemovedTechnician(name=name, keys=_lines(row.keys))
        return publish(hub.database, tables, hub.key, KIND, name, gone)

    return hub.database.write(tell)


def _keys_of(hub: Hub, name: str) -> list[str]:
    with hub.database.reading() as tables:
        row = tables.technicians.get_or_none(tables.technicians.name == name)
    return _lines(row.keys) if row is not None else []


def _lines(text: str) -> list[str]:
    return text.splitlines()


def kit_technicians(hub: Hub) -> Sequence[KitTechnician]:
    """All that were ever added, by name."""
    with hub.database.reading() as tables:
        rows = list(tables.technicians.select().order_by(tables.technicians.name))
    return [KitTechnician(row.name, row.role, row.added, row.removed) for row in rows]
