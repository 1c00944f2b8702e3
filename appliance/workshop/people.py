"""The people of the workshop: who they are, what they may do, and who is logged in.

A person is added with a one-time word. With it they log in once, set a password and let a phone
make codes; from then on it is password and code, or a passkey (`appliance.workshop.passkeys`).
Every answer to a try that failed is the same, and takes as long.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import IntegrityError

from appliance.ids import uuid7
from appliance.workshop import proofs
from appliance.workshop.audit import note
from appliance.workshop.errors import NotLetIn, NotThere, TooManyTries
from appliance.workshop.limits import within
from appliance.workshop.tables import HubDatabase, Models
from hw.errors import UsageError

ROLES = ("technician", "office", "owner")
"""Each may do what those before it may."""
SESSION_S, FIRST_S, WORD_S = 10 * 3600, 1800, 7 * 86_400
"""A working day; half an hour to set a password; a week to come with the first word."""
TRIES_S, TRIES_OF_NAME, TRIES_OF_ADDRESS = 900, 5, 50
_WORD_BYTES, _TOKEN_BYTES, _LONGEST_NAME = 9, 32, 80


@dataclass(frozen=True)
class Person:
    """Somebody who may use the pages; `set_up` once there is a password."""

    id: str
    name: str
    role: str
    set_up: bool


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        sha256: of the word in the cookie.
        csrf: the word that must be in every form.
        first: came with a one-time word, and may do nothing but set a password.
    """

    sha256: str
    person: str
    name: str
    role: str
    csrf: str
    first: bool

    def may(self, least: str) -> bool:
        """Whether the role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(least)


@dataclass(frozen=True)
class People:
    """See the module; `now` is the hub's clock in seconds since 1970."""

    database: HubDatabase
    now: Callable[[], float]

    # Who there is -----------------------------------------------------------------------------

    def all(self) -> Sequence[Person]:
        """Everybody, by name."""
        with self.database.reading() as tables:
            return [_person(row) for row in tables.people.select().order_by(tables.people.name)]

    def add(self, name: str, role: str, by: str) -> str:
        """Add a person; returns the word for their first login.

        Raises:
            UsageError: the name is taken or empty, or there is no such role.
        """
        plain = " ".join(name.split())
        if not plain or len(plain) > _LONGEST_NAME:
            raise UsageError("The person needs a name, of 80 letters at most.", "Give one.")
        _check_role(role)
        word = _new_word()
        row = {
            "id": uuid7(),
            "name": plain,
            "role": role,
            "word": _hash(word),
            "word_expires": int(self.now()) + WORD_S,
        }

        def keep(tables: Models) -> None:
            tables.people.insert(row).execute()
            note(tables, self.now(), by, f"added a person as {role}", plain)

        try:
            self.database.write(keep)
        except IntegrityError as error:
            raise UsageError(f"There is a person '{plain}' already.", "Add initials.") from error
        return word

    def renew(self, person: str, by: str) -> str:
        """A new first word for somebody who lost password or phone; ends what they had.

        Raises:
            NotThere: there is no such person.
        """
        word = _new_word()

        def begin_anew(tables: Models) -> None:
            name = _get(tables, person).name
            self._forget(tables, person)
            tables.people.update(
                password="", totp="", word=_hash(word), word_expires=int(self.now()) + WORD_S
            ).where(tables.people.id == person).execute()
            note(tables, self.now(), by, "gave a new first word to", name)

        self.database.write(begin_anew)
        return word

    def change_role(self, person: str, role: str, by: str) -> None:
        """Give a person another role, from their next click on.

        Raises:
            NotThere: there is no such person.
            UsageError: there is no such role, or no owner would be left.
        """
        _check_role(role)

        def change(tables: Models) -> None:
            row = _get(tables, person)
            if role != "owner":
                self._check_an_owner_stays(tables, row)
            tables.people.update(role=role).where(tables.people.id == person).execute()
            note(tables, self.now(), by, f"made {role}", row.name)

        self.database.write(change)

    def remove(self, person: str, by: str) -> None:
        """Remove a person; what they did stays in the audit.

        Raises:
            NotThere: there is no such person.
            UsageError: no owner would be left.
        """

        def forget(tables: Models) -> None:
            row = _get(tables, person)
            self._check_an_owner_stays(tables, row)
            self._forget(tables, person)
            tables.people.delete().where(tables.people.id == person).execute()
            note(tables, self.now(), by, "removed the person", row.name)

        self.database.write(forget)

    def _check_an_owner_stays(self, tables: Models, row: Any) -> None:
        # Held, so that two owners who shut out each other at the same moment do so in turn.
        people = tables.people
        owners = people.select(people.id).where(people.role == "owner").order_by(people.id)
        if row.role == "owner" and all(one.id == row.id for one in self.database.lock(owners)):
            raise UsageError(f"'{row.name}' is the only owner.", "Make somebody else owner first.")

    def _forget(self, tables: Models, person: str) -> None:
        for table in (tables.sessions, tables.passkeys, tables.challenges):
            table.delete().where(table.person == person).execute()

    # Logging in -------------------------------------------------------------------------------

    def log_in(self, name: str, password: str, code: str, address: str) -> str:
        """Log in with a password and a phone's code; returns the word for the cookie.

        Args:
            address: where the try comes from; only so many are looked at from one, and for one
                name.

        Raises:
            NotLetIn: something does not fit.
            TooManyTries: too much did not fit lately.
        """
        known = " ".join(name.split())[:_LONGEST_NAME]
        self.count_try(address, known)
        row = self._by_name(known)
        right = proofs.fits(password, row.password if row is not None else "")
        step = proofs.totp_step(row.totp, code, self.now()) if row is not None and row.totp else 0

        def let_in(tables: Models) -> str:
            if row is not None and right and step and self._take_step(tables, row.id, step):
                self.forget_tries(tables, known)
                note(tables, self.now(), row.name, "logged in")
                return self.begin(tables, row.id)
            note(tables, self.now(), known, "failed to log in", address)
            return ""

        if token := self.database.write(let_in):
            return token
        raise NotLetIn

    def first_log_in(self, name: str, word: str, address: str) -> str:
        """Log in with a one-time word, only to set a password; returns the word for the cookie.

        Raises:
            NotLetIn: it does not fit, is too old or was used.
            TooManyTries: too much did not fit lately.
        """
        known = " ".join(name.split())[:_LONGEST_NAME]
        self.count_try(address, known)
        row = self._by_name(known)
        fits = row is not None and secrets.compare_digest(row.word, _hash("".join(word.split())))
        secret = proofs.new_totp_secret()

        def let_in(tables: Models) -> str:
            if row is not None and fits and row.word_expires >= self.now():
                people = tables.people
                people.update(totp=secret).where(people.id == row.id).execute()
                self.forget_tries(tables, known)
                return self.begin(tables, row.id, first=True)
            note(tables, self.now(), known, "failed to log in for the first time", address)
            return ""

        if token := self.database.write(let_in):
            return token
        raise NotLetIn

    def totp_uri(self, session: Session) -> str:
        """What the phone of somebody who sets up a login scans."""
        with self.database.reading() as tables:
            return proofs.totp_uri(_get(tables, session.person).totp, session.name)

    def set_up(self, session: Session, password: str, code: str) -> str:
        """End a first login: from now on it is this password and that phone.

        Returns:
            The word for the cookie of a full session.

        Raises:
            UsageError: the password is too short, or the code is not the phone's.
        """
        kept = proofs.hashed(password)

        def keep(tables: Models) -> str:
            row = _get(tables, session.person)
            step = proofs.totp_step(row.totp, code, self.now())
            if not session.first or not step:
                raise UsageError(
                    "The code is not what the phone shows now.",
                    "Wait for the next one; check that the phone's clock is right.",
                )
            people = tables.people
            people.update(password=kept, totp_step=step, word="", word_expires=0).where(
                people.id == row.id
            ).execute()
            tables.sessions.delete().where(tables.sessions.person == row.id).execute()
            note(tables, self.now(), row.name, "set password and phone, and logged in")
            return self.begin(tables, row.id)

        return self.database.write(keep)

    def password_of(self, person: str) -> str:
        """The password as it is kept (`proofs.hashed`); empty for none, or for nobody."""
        with self.database.reading() as tables:
            row = tables.people.get_or_none(tables.people.id == person)
        return row.password if row is not None else ""

    def _by_name(self, name: str) -> Any:
        with self.database.reading() as tables:
            return tables.people.get_or_none(tables.people.name == name)

    def _take_step(self, tables: Models, person: str, step: int) -> bool:
        people = tables.people
        fresh = (people.id == person) & (people.totp_step < step)
        return bool(people.update(totp_step=step).where(fresh).execute())

    def count_try(self, address: str, name: str = "") -> None:
        """Count a try before it is looked at.

        Raises:
            TooManyTries: there were too many.
        """
        most = {f"from {address}": TRIES_OF_ADDRESS}
        most |= {f"as {name}": TRIES_OF_NAME} if name else {}
        if not self.database.write(lambda tables: within(tables, self.now(), most, TRIES_S)):
            raise TooManyTries

    def forget_tries(self, tables: Models, name: str) -> None:
        """After one that fitted, those of this name no longer count."""
        tables.tries.delete().where(tables.tries.who == f"as {name}").execute()

    # Sessions ---------------------------------------------------------------------------------

    def begin(self, tables: Models, person: str, *, first: bool = False) -> str:
        """Begin a session; returns the word for the cookie. Sessions that ended are forgotten."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = int(self.now())
        tables.sessions.delete().where(tables.sessions.expires < now).execute()
        tables.sessions.create(
            sha256=_hash(token),
            person=person,
            stage="first" if first else "full",
            csrf=secrets.token_urlsafe(_TOKEN_BYTES),
            expires=now + (FIRST_S if first else SESSION_S),
        )
        return token

    def session(self, token: str) -> Session | None:
        """Who has this word in the cookie; None for nobody, or where it ended."""
        with self.database.reading() as tables:
            row = tables.sessions.get_or_none(tables.sessions.sha256 == _hash(token))
            if row is None or row.expires < self.now():
                return None
            person = tables.people.get_or_none(tables.people.id == row.person)
        if person is None:
            return None
        first = row.stage == "first"
        return Session(row.sha256, person.id, person.name, person.role, row.csrf, first)

    def log_out(self, session: Session) -> None:
        """End a session."""

        def end(tables: Models) -> None:
            tables.sessions.delete().where(tables.sessions.sha256 == session.sha256).execute()
            note(tables, self.now(), session.name, "logged out")

        self.database.write(end)


def _person(row: Any) -> Person:
    return Person(row.id, row.name, row.role, bool(row.password))


def _get(tables: Models, person: str) -> Any:
    row = tables.people.get_or_none(tables.people.id == person)
    if row is None:
        raise NotThere("There is no such person.", "Look at the list of people.")
    return row


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(f"There is no role '{role}'.", f"Take one of: {', '.join(ROLES)}.")


def _new_word() -> str:
    return secrets.token_urlsafe(_WORD_BYTES)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
