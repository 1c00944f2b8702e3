"""The workshop's hub as a kit speaks to it: signed requests over TLS that trusts one authority.

The hub's certificate is checked against the workshop's own authority and nothing else; its validity
times are not looked at, since a kit's clock may stand anywhere. Each failure is one of four: come
again later, pause until a person did something, put this item aside, or send what is missing first.
"""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import Mapping
from types import TracebackType

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from appliance.identity.wallclock import wall_s
from appliance.sync.change import Changes
from appliance.sync.requests import sign_request
from hw.errors import UNDECODABLE, FieldKitError, UnavailableError
from hw.sshsig import public_line

CALL_LIMIT_S, CONNECT_LIMIT_S = 60.0, 15.0
CLOCK_OFF_S = 60.0
"""A hub that refuses a request whose time is off by more is asked again with its own time."""
_X509_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
COMES_AGAIN = "The kit keeps everything and comes again by itself."


class ComeAgain(UnavailableError):
    """The hub was not reached, or cannot take anything now."""

    code = "hub_away"


class NotReached(ComeAgain):
    """Nobody answers at the hub's address, or it is not the hub who does."""


class Paused(FieldKitError):
    """The hub does not serve this kit: nothing is sent, and nothing deleted, until that changes."""

    code = "sync_paused"
    exit_status = 77


class PutAside(FieldKitError):
    """The hub will never take this item; the rest goes on."""

    code = "sync_refused"
    exit_status = 65


class MissingBlobs(FieldKitError):
    """The hub wants these blobs first."""

    code = "blobs_missing"
    exit_status = 69

    def __init__(self, what: str, next_step: str, missing: list[str]) -> None:
        super().__init__(what, next_step)
        self.missing = missing


class _Problem(Struct, frozen=True, kw_only=True):
    code: str
    what: str
    next_step: str
    missing: list[str] = []


class Greeted(Struct, frozen=True, kw_only=True):
    """What the hub answers to a greeting: its clock, in seconds since 1970, and the highest number
    of this kit's records that it has; -1 where it does not say.
    """

    time: int
    last: int = -1


class Enrolment(Struct, frozen=True, kw_only=True):
    """What the hub says to a kit that it lets in."""

    name: str
    workshop_key: str


def tls_for(authority: str) -> ssl.SSLContext:
    """TLS that trusts the workshop's authority alone.

    Args:
        authority: its certificate, PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    context.verify_flags |= ssl.VerifyFlags(_X509_NO_CHECK_TIME)
    return context


class HubClient:
    """A connection to the hub. Use it as a context manager, from one thread.

    Args:
        address: `https://host:port`.
        tls: `tls_for` the workshop's authority.
        key: the kit's.
        name: what the hub's certificate must be for, where that is not the address.
    """

    def __init__(
        self, address: str, tls: ssl.SSLContext, key: Ed25519PrivateKey, name: str = ""
    ) -> None:
        self._key = key
        limit = httpx.Timeout(CALL_LIMIT_S, connect=CONNECT_LIMIT_S)
        self._http = httpx.Client(base_url=address, verify=tls, timeout=limit)
        self._more = {"sni_hostname": name} if name else {}
        self._ahead_s = 0.0

    def __enter__(self) -> HubClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def enrol(self, token: str) -> Enrolment:
        """Let this kit in, with the office's word.

        Raises:
            Paused: the word is not good, or the kit was shut out.
            ComeAgain: the hub was not reached.
        """
        asked = {"token": token, "key": public_line(self._key)}
        answer = self._send("POST", "/v1/enrol", msgspec.json.encode(asked))
        try:
            return msgspec.json.decode(answer.content, type=Enrolment)
        except UNDECODABLE as error:
            raise _other_version() from error

    def hello(self, version: str, free_bytes: int, waiting: int) -> Greeted:
        """Say that this kit is there."""
        query = httpx.QueryParams(version=version, free=free_bytes, waiting=waiting)
        answer = self._send("GET", f"/v1/hello?{query}")
        try:
            return msgspec.json.decode(answer.content, type=Greeted)
        except UNDECODABLE as error:
            raise _other_version() from error

    def blob_offset(self, sha256: str) -> tuple[int, bool]:
        """How many bytes of a blob the hub has, and whether that is all of it."""
        return _upload(self._send("HEAD", f"/v1/blobs/{sha256}"))

    def blob_add(self, sha256: str, offset: int, total: int, piece: bytes) -> tuple[int, bool]:
        """Send a piece of a blob; returns what `blob_offset` does."""
        target = f"/v1/blobs/{sha256}?offset={offset}&total={total}"
        return _upload(self._send("PATCH", target, piece))

    def put_record(self, record: str, body: bytes) -> bytes:
        """Send a record; returns the hub's receipt, which is not checked here.

        Raises:
            MissingBlobs: they are to be sent first.
            PutAside: the hub will never take it.
        """
        return self._send("PUT", f"/v1/records/{record}", body).content

    def receipt(self, record: str) -> bytes:
        """The receipt for a record that was sent before."""
        return self._send("GET", f"/v1/receipts/{record}").content

    def changes(self, after: int) -> Changes:
        """What the workshop has for this kit after a number; nothing of it is checked here."""
        answer = self._send("GET", f"/v1/changes?after={after}")
        try:
            return msgspec.json.decode(answer.content, type=Changes)
        except UNDECODABLE as error:
            raise _other_version() from error

    def _send(self, method: str, target: str, body: bytes = b"") -> httpx.Response:
        answer = self._try(method, target, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._set_clock(answer.headers):
            answer = self._try(method, target, body)
        if answer.is_success:
            return answer
        raise _refusal(answer)

    def _try(self, method: str, target: str, body: bytes) -> httpx.Response:
        hub_time = wall_s() + self._ahead_s
        headers = sign_request(self._key, method, target, body, hub_time)
        try:
            return self._http.request(
                method, target, content=body, headers=headers, extensions=self._more
            )
        except (httpx.HTTPError, ssl.SSLError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise NotReached(f"The workshop was not reached: {reason}.", COMES_AGAIN) from error

    def _set_clock(self, headers: Mapping[str, str]) -> bool:
        """Take the hub's time; True where the kit's was so far off that asking again may help."""
        try:
            hub_time = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError):
            return False
        before, self._ahead_s = self._ahead_s, hub_time - wall_s()
        return abs(self._ahead_s - before) > CLOCK_OFF_S


def _upload(answer: httpx.Response) -> tuple[int, bool]:
    try:
        return int(answer.headers["upload-offset"]), answer.headers["upload-complete"] == "?1"
    except (KeyError, ValueError) as error:
        raise _other_version() from error


def _other_version() -> ComeAgain:
    return ComeAgain(
        "The workshop answered something that this program does not understand.",
        "Bring kit and workshop to the same version.",
    )


def _refusal(answer: httpx.Response) -> FieldKitError:
    try:
        told = msgspec.json.decode(answer.content, type=_Problem)
    except UNDECODABLE:
        told = _Problem(
            code="",
            what=f"The workshop answered with status {answer.status_code}.",
            next_step=COMES_AGAIN,
        )
    match answer.status_code:
        case 401 | 403:
            return Paused(told.what, told.next_step)
        case 424:
            return MissingBlobs(told.what, told.next_step, told.missing)
        case 400 | 404 | 409 | 413:
            return PutAside(told.what, told.next_step)
        case _:
            return ComeAgain(told.what, told.next_step)
