"""The technicians whom the workshop gives to its kits, and takes off them.

Every kit that comes is told. What they are let in with is made here and sealed under their
passphrase (`appliance.identity.issued`); the workshop keeps nothing that opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.identity import issue_technician
from appliance.identity.kit import checked_name, checked_role
from appliance.sync.change import Change, Revocation
from appliance.workshop.audit import note
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
    issued = issue_technician(name, checked_role(role), passphrase)

    def tell(tables: Models) -> Change:
        hold_numbers(hub.database, tables)  # Two at once would both find the name free.
        technicians, now = tables.technicians, int(hub.now())
        known = technicians.get_or_none(technicians.name == issued.name)
        if known is not None and not known.removed:
            raise UsageError(
                f"The kits have a technician '{issued.name}' already.",
                "Choose another name, or remove that one first.",
            )
        if known is not None:
            known.delete_instance()
        technicians.create(name=issued.name, role=issued.role, added=now)
        note(tables, now, by, f"gave the kits a technician ({issued.role})", issued.name)
        return publish(hub.database, tables, hub.key, KIND, issued.name, issued)

    return hub.database.write(tell)


def remove_technician(hub: Hub, name: str, by: str) -> Change:
    """Take somebody off every kit, those whom only a kit knows, too.

    Raises:
        BadInputError: nobody can have that name.
    """
    revoked = Revocation(what="technician", name=checked_name(name))

    def tell(tables: Models) -> Change:
        technicians, now = tables.technicians, int(hub.now())
        of_name = (technicians.name == revoked.name) & (technicians.removed == 0)
        technicians.update(removed=now).where(of_name).execute()
        note(tables, now, by, "took a technician off the kits", revoked.name)
        subject = f"{revoked.what}/{revoked.name}"
        return publish(hub.database, tables, hub.key, "revocation", subject, revoked)

    return hub.database.write(tell)


def kit_technicians(hub: Hub) -> Sequence[KitTechnician]:
    """All that were ever added, by name."""
    with hub.database.reading() as tables:
        rows = list(tables.technicians.select().order_by(tables.technicians.name))
    return [KitTechnician(row.name, row.role, row.added, row.removed) for row in rows]
