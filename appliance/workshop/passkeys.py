"""Passkeys: logging in with a phone, a computer or a security key, without a password.

A passkey is bound to the name under which the browser reached the hub; an IP address has none. It
must show that its owner is there (PIN, finger or face), so it stands for both factors.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import webauthn
from msgspec import Struct
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.workshop.audit import note
from appliance.workshop.errors import NotLetIn
from appliance.workshop.people import People, Session
from appliance.workshop.tables import Models
from hw.errors import UNDECODABLE, UsageError

CHALLENGE_S, CHALLENGE_BYTES = 300, 32
_LONGEST_NAME = 40
_NEEDED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True)
class Passkey:
    """A passkey in a list; `made` in seconds since 1970."""

    id: str
    name: str
    made: int


@dataclass(frozen=True)
class Place:
    """Where a browser reached the hub: the name alone, and the whole origin."""

    host: str
    origin: str


class _Client(Struct, frozen=True):
    challenge: str


class _Response(Struct, frozen=True, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")


class _Credential(Struct, frozen=True):
    id: str
    response: _Response


@dataclass(frozen=True)
class Passkeys:
    """The passkeys of people."""

    people: People

    def of(self, person: str) -> Sequence[Passkey]:
        """Those of a person, by name."""
        with self.people.database.reading() as tables:
            keys = tables.passkeys
            rows = keys.select().where(keys.person == person).order_by(keys.name)
            return [Passkey(row.id, row.name, row.made) for row in rows]

    def begin_adding(self, session: Session, place: Place) -> str:
        """What the browser is asked for a new passkey, as JSON."""
        known = [
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id))
            for one in self.of(session.person)
        ]
        options = webauthn.generate_registration_options(
            rp_id=place.host,
            rp_name="fieldkit workshop",
            user_name=session.name,
            user_id=session.person.encode(),
            challenge=self._challenge(session.person),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_NEEDED
            ),
            exclude_credentials=known,
        )
        return webauthn.options_to_json(options)

    def add(self, session: Session, place: Place, name: str, answer: str) -> None:
        """Keep a new passkey.

        Args:
            answer: the browser's, as JSON.

        Raises:
            UsageError: it is not what was asked for.
        """
        try:
            verified = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=self._answered(answer, session.person),
                expected_rp_id=place.host,
                expected_origin=place.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, NotLetIn) as error:
            raise UsageError("The passkey was not made.", "Try it once more.") from error
        plain = " ".join(name.split())[:_LONGEST_NAME] or "passkey"
        row = {
            "id": bytes_to_base64url(verified.credential_id),
            "person": session.person,
            "name": plain,
            "key": verified.credential_public_key,
            "uses": verified.sign_count,
            "made": int(self.people.now()),
        }

        def keep(tables: Models) -> None:
            tables.passkeys.insert(row).execute()
            note(tables, self.people.now(), session.name, "added the passkey", plain)

        self.people.database.write(keep)

    def remove(self, session: Session, passkey: str) -> None:
        """Remove one of one's own."""

        def forget(tables: Models) -> None:
            keys = tables.passkeys
            mine = (keys.id == passkey) & (keys.person == session.person)
            if keys.delete().where(mine).execute():
                note(tables, self.people.now(), session.name, "removed a passkey")

        self.people.database.write(forget)

    def begin_logging_in(self, place: Place) -> str:
        """What the browser is asked to log somebody in, as JSON."""
        options = webauthn.generate_authentication_options(
            rp_id=place.host, challenge=self._challenge(""), user_verification=_NEEDED
        )
        return webauthn.options_to_json(options)

    def log_in(self, place: Place, answer: str, address: str) -> str:
        """Log in with a passkey; returns the word for the cookie.

        Raises:
            NotLetIn: it is not known here, or not what was asked for.
            TooManyTries: too much did not fit lately.
        """
        self.people.count_try(address)
        challenge = self._answered(answer, "")
        with self.people.database.reading() as tables:
            row = tables.passkeys.get_or_none(tables.passkeys.id == _parsed(answer).id)
        if row is None:
            raise NotLetIn
        verified = self._verified(row, place, answer, challenge)

        def let_in(tables: Models) -> str:
            person = tables.people.get_or_none(tables.people.id == row.person)
            if person is None:
                raise NotLetIn
            keys = tables.passkeys
            keys.update(uses=verified).where(keys.id == row.id).execute()
            note(tables, self.people.now(), person.name, "logged in with the passkey", row.name)
            return self.people.begin(tables, person.id)

        return self.people.database.write(let_in)

    def _verified(self, row: Any, place: Place, answer: str, challenge: bytes) -> int:
        """How often the passkey was used, where its answer is right."""
        try:
            return webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=place.host,
                expected_origin=place.origin,
                credential_public_key=bytes(row.key),
                credential_current_sign_count=row.uses,
                require_user_verification=True,
            ).new_sign_count
        except WebAuthnException as error:
            raise NotLetIn from error

    def _challenge(self, person: str) -> bytes:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        now = int(self.people.now())
        row = {
            "sha256": hashlib.sha256(challenge).hexdigest(),
            "person": person,
            "expires": now + CHALLENGE_S,
        }

        def keep(tables: Models) -> None:
            tables.challenges.delete().where(tables.challenges.expires < now).execute()
            tables.challenges.insert(row).execute()

        self.people.database.write(keep)
        return challenge

    def _answered(self, answer: str, person: str) -> bytes:
        """The challenge that an answer is to; it can be answered no more."""
        try:
            client = base64url_to_bytes(_parsed(answer).response.client_data_json)
            challenge = base64url_to_bytes(msgspec.json.decode(client, type=_Client).challenge)
        except (*UNDECODABLE, ValueError) as error:
            raise NotLetIn from error

        def use_up(tables: Models) -> int:
            challenges = tables.challenges
            asked = (
                (challenges.sha256 == hashlib.sha256(challenge).hexdigest())
                & (challenges.person == person)
                & (challenges.expires >= int(self.people.now()))
            )
            return int(challenges.delete().where(asked).execute())

        if not self.people.database.write(use_up):
            raise NotLetIn
        return challenge


def _parsed(answer: str) -> _Credential:
    try:
        return msgspec.json.decode(answer, type=_Credential)
    except UNDECODABLE as error:
        raise NotLetIn from error
