"""What came down from the workshop: each change is checked, applied once, and counted.

A change and the position behind it are kept in one transaction, so that after a power cut it is
applied or comes again. What cannot be used is put aside with its reason, and the rest goes on; a
change that came before, or an older one of the same subject, does nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from appliance.errors import NotPermittedError
from appliance.identity import (
    IssuedTechnician,
    RemovedTechnician,
    remove_technician,
    take_technician,
)
from appliance.profiles.loader import install_profile, remove_profile
from appliance.store import Store, Tables
from appliance.sync.change import (
    Change,
    ChangeDamaged,
    Changes,
    Numbered,
    OpenedChange,
    ProfileIssued,
    Revocation,
    TextIssued,
    open_change,
)
from appliance.sync.order import Order, OrderGone
from appliance.texts import install_text
from hw.errors import UNDECODABLE, BadInputError, UnavailableError, UsageError
from hw.sshsig import AllowedSigners
from hw.statements import TEXT_NAMES

_POSITION = "changes/after"
_Body = TypeVar("_Body")
_Keep = Callable[[Tables], None]
"""What a change does to the database, in the transaction that counts it."""


@dataclass(frozen=True)
class Aside:
    """A change that was put aside, and why, in words."""

    number: int
    kind: str
    subject: str
    why: str


@dataclass(frozen=True)
class Inbox:
    """See the module.

    Attributes:
        store: the kit's database.
        state: the kit's state folder, with its profiles and technicians.
        kit: the id of this kit.
        signers: the workshop's key.
        people: held while technicians are changed.
        master_key: of the kit, which a technician of the workshop is given.
    """

    store: Store
    state: Path
    kit: str
    signers: AllowedSigners
    people: threading.Lock
    master_key: bytes = field(repr=False)

    def fetch(self, ask: Callable[[int], Changes], go_on: Callable[[], bool]) -> int:
        """Take everything that the workshop has for this kit; returns how many changes came.

        Args:
            ask: the changes after a number, a page at a time.
            go_on: asked before each page; False ends it.

        Raises:
            UnavailableError: the workshop does not answer, or the kit cannot write.
        """
        came = 0
        while go_on():
            after = self._after()
            page = ask(after)
            if page.last < after:  # The workshop was set back: what it has now counts from here.
                self._move_to(0)
                continue
            for one in page.changes:
                if one.number <= after:
                    raise ChangeDamaged(f"number {one.number} came after number {after}")
                after = one.number
                self.take(one)
                came += 1
            if not page.more or not page.changes:
                break
        return came

    def take(self, numbered: Numbered) -> None:
        """Apply one change, or put it aside.

        Raises:
            UnavailableError: the kit cannot write; the change comes again.
        """
        try:
            opened = open_change(numbered, self.kit, self.signers)
        except ChangeDamaged as error:
            self._put_aside(Aside(numbered.number, "", "", error.what))
            return
        change = opened.change
        try:
            keep = self._apply(change) if self._is_news(opened) else None
        except (BadInputError, UsageError, NotPermittedError) as error:
            why = f"{error.what} {error.next_step}"
            self._put_aside(Aside(change.number, change.kind, change.subject, why))
        except OSError as error:
            raise UnavailableError(
                f"The kit cannot write down what came from the workshop: {error.strerror}.",
                "Free space in the state folder or mend its medium; it comes again by itself.",
            ) from error
        else:
            self.store.run(lambda tables: _count(tables, opened, keep))

    def try_again(self) -> None:
        """Have `fetch` begin before the first of what was put aside: its reason may have gone away.
        What is known does nothing when it comes once more.
        """
        if aside := self.put_aside():
            self._move_to(min(self._after(), aside[0].number - 1))

    def put_aside(self) -> list[Aside]:
        """Changes that could not be used and that no later one replaced."""

        def work(tables: Tables) -> list[dict[str, Any]]:
            return list(tables.changes_aside.select().order_by(tables.changes_aside.number))

        return [Aside(**row) for row in self.store.run(work)]

    # Position ---------------------------------------------------------------------------------

    def _after(self) -> int:
        return int(self.store.setting(_POSITION) or 0)

    def _move_to(self, number: int) -> None:
        self.store.run(lambda tables: _set_position(tables, number))

    def _put_aside(self, aside: Aside) -> None:
        row = {
            "number": aside.number,
            "kind": aside.kind,
            "subject": aside.subject,
            "why": aside.why,
        }

        def work(tables: Tables) -> None:
            tables.changes_aside.insert(row).on_conflict_replace().execute()
            _set_position(tables, aside.number)

        self.store.run(work)

    def _is_news(self, opened: OpenedChange) -> bool:
        """Is it newer than what the kit knows of its subject?

        Raises:
            ChangeDamaged: under the same version something else was known.
        """
        change = opened.change

        def work(tables: Tables) -> list[dict[str, Any]]:
            known = tables.changes
            query = known.select().where(
                (known.kind == change.kind) & (known.subject == change.subject)
            )
            return list(query)

        for row in self.store.run(work):
            if row["version"] == change.version and row["sha256"] != opened.sha256:
                raise ChangeDamaged(f"its version {change.version} came before with other content")
            return bool(change.version > row["version"])
        return True

    # Kinds ------------------------------------------------------------------------------------

    def _apply(self, change: Change) -> _Keep:
        """Do what lies outside the database, which may be done twice; returns the rest."""
        match change.kind:
            case "order":
                # msgspec decodes a union that mypy takes for no type.
                order: Order | OrderGone = _decoded(change, Order | OrderGone)  # type: ignore[arg-type]
                return _keep_order(order) if isinstance(order, Order) else _forget_order(order)
            case "text":
                return self._issue(_decoded(change, TextIssued))
            case "profile":
                issued = _decoded(change, ProfileIssued)
                document, signature = issued.document.encode(), issued.signature.encode()
                install_profile(self.state, issued.name, document, signature)
            case "technician":
                told: IssuedTechnician | RemovedTechnician = _decoded(
                    change,
                    IssuedTechnician | RemovedTechnician,  # type: ignore[arg-type]  # as above
                )
                self._take_technician(change.subject, told)
            case "revocation":
                self._revoke(_decoded(change, Revocation))
            case other:
                raise ChangeDamaged(f"this program does not know the kind '{other}'")
        return _nothing

    def _issue(self, issued: TextIssued) -> _Keep:
        """What customers sign lies in a file besides, where `hw` reads it for itself."""
        for name in TEXT_NAMES:
            if name == issued.name:
                install_text(self.state, name, issued.language, issued.version, issued.text)
        return _keep_text(issued)

    def _take_technician(self, subject: str, told: IssuedTechnician | RemovedTechnician) -> None:
        if told.name != subject:
            raise ChangeDamaged(f"it is about '{subject}' and names '{told.name}'")
        with self.people:
            if isinstance(told, IssuedTechnician):
                take_technician(self.state, told, self.master_key)
            else:
                remove_technician(self.state, told.name, told.keys)

    def _revoke(self, revocation: Revocation) -> None:
        if revocation.what == "profile":
            remove_profile(self.state, revocation.name)
            return
        with self.people:
            remove_technician(self.state, revocation.name)


def _decoded(change: Change, kind: type[_Body]) -> _Body:
    try:
        return msgspec.convert(change.body, kind)
    except UNDECODABLE as error:
        raise ChangeDamaged(f"its '{change.kind}' cannot be read: {error}") from error


def _nothing(tables: Tables) -> None:
    del tables


def _keep_order(order: Order) -> _Keep:
    row = {
        "id": order.order,
        "reference": order.reference,
        "document": msgspec.json.encode(order),
    }

    def keep(tables: Tables) -> None:
        tables.orders.insert(row).on_conflict_replace().execute()

    return keep


def _forget_order(gone: OrderGone) -> _Keep:
    def keep(tables: Tables) -> None:
        tables.orders.delete().where(tables.orders.id == gone.order).execute()

    return keep


def _keep_text(issued: TextIssued) -> _Keep:
    row = {
        "name": issued.name,
        "language": issued.language,
        "version": issued.version,
        "sha256": hashlib.sha256(issued.text.encode()).hexdigest(),
        "text": issued.text,
    }

    def keep(tables: Tables) -> None:
        tables.texts.insert(row).on_conflict_replace().execute()

    return keep


def _count(tables: Tables, opened: OpenedChange, keep: _Keep | None) -> None:
    """Apply what is news, and move on; what was put aside of the same subject is settled by it."""
    change, aside = opened.change, tables.changes_aside
    if keep is not None:
        keep(tables)
        row = {
            "kind": change.kind,
            "subject": change.subject,
            "version": change.version,
            "sha256": opened.sha256,
        }
        tables.changes.insert(row).on_conflict_replace().execute()
        of_subject = (aside.kind == change.kind) & (aside.subject == change.subject)
        aside.delete().where(of_subject).execute()
    _set_position(tables, change.number)


def _set_position(tables: Tables, number: int) -> None:
    row = {"name": _POSITION, "value": str(number)}
    tables.settings.insert(row).on_conflict_replace().execute()
