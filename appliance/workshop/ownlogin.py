"""What people change of their own login: the password, and the phone that makes their codes.

Either asks for the password until now. One that does not fit counts as a try to log in, so that an
open window is not enough to guess it. What was changed logs the person out everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.workshop import proofs
from appliance.workshop.audit import note
from appliance.workshop.errors import WrongPassword
from appliance.workshop.people import People, Session
from appliance.workshop.tables import Models
from hw.errors import UsageError


@dataclass(frozen=True)
class OwnLogin:
    """See the module."""

    people: People

    def change_password(self, session: Session, old: str, new: str, address: str) -> None:
        """Change one's own password.

        Args:
            address: where the try comes from, as for `People.log_in`.

        Raises:
            UsageError: the new one is too short or too long.
            WrongPassword: the old one is not the one that counts.
            TooManyTries: too much did not fit lately.
        """
        kept = proofs.hashed(new)
        proved = self._prove(session, old, address)

        def change(tables: Models) -> bool:
            return self._change(tables, session, proved, "changed the password", password=kept)

        if not self.people.database.write(change):
            raise WrongPassword

    def begin_phone(self, session: Session, password: str, address: str) -> str:
        """Make a new secret for codes; the phone until now stays until the new one shows a code.

        Args:
            address: where the try comes from, as for `People.log_in`.

        Returns:
            What the new phone scans; it is told this once.

        Raises:
            WrongPassword: it is not the one that counts.
            TooManyTries: too much did not fit lately.
        """
        self._prove(session, password, address)
        secret = proofs.new_totp_secret()

        def keep(tables: Models) -> None:
            sessions = tables.sessions
            sessions.update(totp=secret).where(sessions.sha256 == session.sha256).execute()

        self.people.database.write(keep)
        return proofs.totp_uri(secret, session.name)

    def set_phone(self, session: Session, code: str) -> None:
        """From now on it is the phone that scanned what `begin_phone` told.

        Raises:
            UsageError: the code is not the new phone's, or no phone was begun in this session.
        """

        def change(tables: Models) -> bool:
            begun = tables.sessions.get_or_none(tables.sessions.sha256 == session.sha256)
            person = tables.people.get_or_none(tables.people.id == session.person)
            if begun is None or person is None or not begun.totp:
                raise UsageError("No other phone was begun.", "Begin again with your password.")
            step = proofs.totp_step(begun.totp, code, self.people.now())
            return bool(step) and self._change(
                *(tables, session, person.password, "set up another phone"),
                totp=begun.totp,
                totp_step=step,
            )

        if not self.people.database.write(change):
            raise UsageError(
                "The code is not what the new phone shows now; the old one still counts.",
                "Wait for the next code; check that the phone's clock is right.",
            )

    def _prove(self, session: Session, password: str, address: str) -> str:
        """Returns the password as it is kept."""
        people = self.people
        people.count_try(address, session.name)
        kept = people.password_of(session.person)
        if not proofs.fits(password, kept):
            failed = "gave a wrong password on the own account"
            people.database.write(
                lambda tables: note(tables, people.now(), session.name, failed, address)
            )
            raise WrongPassword
        people.database.write(lambda tables: people.forget_tries(tables, session.name))
        return kept

    def _change(
        self, tables: Models, session: Session, proved: str, did: str, **fields: Any
    ) -> bool:
        """False where the password was changed meanwhile, as by an owner who renewed the person."""
        people, sessions = tables.people, tables.sessions
        unchanged = (people.id == session.person) & (people.password == proved)
        if not people.update(**fields).where(unchanged).execute():
            return False
        others = (sessions.person == session.person) & (sessions.sha256 != session.sha256)
        sessions.delete().where(others).execute()
        sessions.update(totp="").where(sessions.sha256 == session.sha256).execute()
        note(tables, self.people.now(), session.name, did)
        return True
