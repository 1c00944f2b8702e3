"""Reading one ECU as its profile describes it, through hw."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.profiles.loader import LoadedProfile, check_link
from appliance.profiles.schema import Purpose, Region, SessionName
from hw.client import HwClient, RemoteError
from hw.errors import FieldKitError, UnavailableError
from hw.messages import ReadMemory
from hw.plan import IdentityValue

log = logging.getLogger("fieldkit.car")

READ_DID = 0x22
READ_MEMORY_BY_ADDRESS = 0x23
REQUEST_UPLOAD = 0x35
SESSION_CONTROL = 0x10
NEGATIVE = 0x7F
LASTING_NRCS = frozenset({0x11, 0x12, 0x31, 0x33, 0x34, 0x7E, 0x7F})
"""Refusals that a second try does not change (ISO 14229-1:2020, Annex A): not supported, out of
range, access denied, authentication required. Any other is an error of the moment."""


class UnreadableEcu(UnavailableError):
    """The ECU gives something that is needed in a way that the profile does not describe."""

    code = "unreadable"


@dataclass(frozen=True)
class DidAnswer:
    """What the ECU answered to one DID: its value, or the negative response code and words."""

    did: int
    value: bytes
    nrc: int = -1
    refused: str = ""


@dataclass(frozen=True)
class RegionAnswer:
    """A region's content, or the exact request and negative response with which it was refused."""

    region: str
    data: bytes = b""
    request: str = ""
    response: str = ""


class Ecu:
    """One ECU: a link, a profile, and hw between.

    Args:
        hw: the connection to hw.
        loaded: the ECU's profile.
        link: URI; its own addresses must be the profile's.

    Raises:
        WrongLink: the link leads to another ECU than the profile describes.
    """

    def __init__(self, hw: HwClient, loaded: LoadedProfile, link: str) -> None:
        check_link(loaded.profile, link)
        self._hw = hw
        self._profile = loaded.profile
        self._link = link

    def read_did(self, did: int) -> DidAnswer:
        """ReadDataByIdentifier of one DID (ISO 14229-1:2020, 11.2).

        Raises:
            FieldKitError: the link failed; a negative response is an answer, not a failure.
        """
        request = bytes([READ_DID]) + did.to_bytes(2, "big")
        try:
            answer = self._hw.read(self._link, request, self._profile.timing)
        except RemoteError as error:
            if error.nrc < 0:
                raise
            return DidAnswer(did, b"", error.nrc, error.what)
        if answer[1:3] != request[1:3]:
            raise UnreadableEcu(
                f"The ECU answered another DID than 0x{did:04X}.", "Check the link and try again."
            )
        return DidAnswer(did, answer[3:])

    def identification(self) -> list[DidAnswer]:
        """Every identification DID of the profile."""
        return [self.read_did(entry.did) for entry in self._profile.identification]

    def coding(self) -> list[DidAnswer]:
        """Every coding DID of the profile."""
        return [self.read_did(entry.did) for entry in self._profile.coding]

    def values(self, dids: Iterable[int]) -> list[IdentityValue]:
        """The values of these DIDs; a DID that the ECU refuses is left out."""
        answers = (self.read_did(did) for did in dids)
        return identity_of(answers)

    def region(self, region: Region) -> RegionAnswer:
        """A whole memory region, once.

        Raises:
            FieldKitError: the link failed. Where the ECU refuses, that is the answer.
        """
        method = region.read.method
        known_refused = method == "refused"
        request = ReadMemory(
            id=0,
            link=self._link,
            address=region.address,
            length=region.size,
            address_width=region.address_width,
            length_width=region.length_width,
            block_length=region.read.block_length,
            method="request_upload" if method == "request_upload" else "read_memory_by_address",
            timing=self._profile.timing,
        )
        with self._session(region.read.session):
            if region.read.unlock != "none" and not known_refused:
                self._unlock(region.read.unlock)
            try:
                return RegionAnswer(region.name, data=self._hw.read_memory(request))
            except RemoteError as error:
                asked = _memory_request(request)
                # Only the first request's own refusal says that this memory is not read out, and
                # only one that will be the same the next time.
                if error.nrc not in LASTING_NRCS or error.service != asked[0]:
                    raise
                answered = bytes([NEGATIVE, error.service, error.nrc])
                return RegionAnswer(region.name, request=asked.hex(), response=answered.hex())

    def _unlock(self, purpose: Purpose) -> None:
        entry = self._profile.security_for(purpose)
        if entry is None:
            raise UnreadableEcu(
                f"The profile names no security entry for {purpose}.", "Correct the profile."
            )
        self._hw.unlock_for_reading(
            self._link, entry.level, entry.provider, entry.params, self._profile.timing
        )

    @contextmanager
    def _session(self, name: SessionName) -> Iterator[None]:
        """A session for reading, and back to the default one on every way out."""
        value = self._profile.sessions.value(name)
        if value is None or name == "default":
            yield
            return
        self._control(value)
        try:
            yield
        finally:
            self._leave_session()

    def _leave_session(self) -> None:
        try:
            self._control(self._profile.sessions.default)
        except FieldKitError as error:
            # The session lapses by itself after S3 (ISO 14229-2); what was read stays valid.
            log.warning("The session for reading was left open: %s", error.what)

    def _control(self, session: int) -> None:
        self._hw.read(self._link, bytes([SESSION_CONTROL, session]), self._profile.timing)


def identity_of(answers: Iterable[DidAnswer]) -> list[IdentityValue]:
    """The values that were given, as plans and manifests carry them."""
    return [
        IdentityValue(did=answer.did, value=answer.value.hex())
        for answer in answers
        if not answer.refused
    ]


def _memory_request(asked: ReadMemory) -> bytes:
    """The request that the ECU refused: ReadMemoryByAddress or RequestUpload of the region."""
    widths = asked.length_width << 4 | asked.address_width
    address = asked.address.to_bytes(asked.address_width, "big")
    if asked.method == "request_upload":
        length = asked.length.to_bytes(asked.length_width, "big")
        return bytes([REQUEST_UPLOAD, 0x00, widths]) + address + length
    first = min(asked.block_length, asked.length).to_bytes(asked.length_width, "big")
    return bytes([READ_MEMORY_BY_ADDRESS, widths]) + address + first
