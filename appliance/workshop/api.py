"""The hub over HTTP: what kits ask, below `/v1`. Every request is signed (`appliance.sync`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.sync.requests import Caller, NotSigned, check_request
from appliance.workshop.blobs import PIECE_BYTES
from appliance.workshop.errors import (
    BlobsMissing,
    HubError,
    Malformed,
    TooLarge,
    Unsigned,
)
from appliance.workshop.hub import MOST_RECORD_BYTES, Greeting, Hub, parsed_key
from appliance.workshop.openapi import openapi_document
from appliance.workshop.wire import Enrol, Enrolled, Greeted, Problem
from hw.errors import UNDECODABLE
from hw.sshsig import public_line

Endpoint = Callable[[Request], Awaitable[Response]]
MOST_ENROL_BYTES = 16 << 10
_OFFSET, _COMPLETE = "Upload-Offset", "Upload-Complete"


def make_hub_app(hub: Hub, authority: str) -> Starlette:
    """The routes for kits over a hub.

    Args:
        hub: its rules.
        authority: certificate of the workshop's authority, PEM; a kit that is to be enrolled
            compares it with the office's code.
    """
    rules = _Routes(hub)

    async def show_authority(_request: Request) -> Response:
        return Response(authority, media_type="application/x-pem-file")

    document = msgspec.json.encode(openapi_document())

    async def show_document(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/openapi.json", show_document, methods=["GET"]),
            Route("/v1/authority", show_authority, methods=["GET"]),
            Route("/v1/enrol", rules.enrol, methods=["POST"]),
            Route("/v1/hello", rules.hello, methods=["GET"]),
            Route("/v1/blobs/{sha256}", rules.blob, methods=["HEAD", "PATCH"]),
            Route("/v1/records/{record}", rules.record, methods=["PUT"]),
            Route("/v1/receipts/{record}", rules.receipt, methods=["GET"]),
            Route("/v1/changes", rules.changes, methods=["GET"]),
        ],
        exception_handlers={
            HubError: _told,
            HTTPException: _no_such_path,
            ClientDisconnect: _gone,
        },
    )


class _Routes:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def enrol(self, request: Request) -> Response:
        body = await _body(request, MOST_ENROL_BYTES)
        try:
            asked = msgspec.json.decode(body, type=Enrol)
        except UNDECODABLE as error:
            raise Malformed(
                f"The request for enrolment cannot be read: {error}.", "Use a kit to enrol."
            ) from error
        key = parsed_key(asked.key)

        def work() -> Enrolled:
            caller = _caller(request, body, lambda _kit: key)
            name = self._hub.enrol(asked.token, key, caller)
            return Enrolled(name=name, workshop_key=public_line(self._hub.key))

        return _json(await anyio.to_thread.run_sync(work), 201)

    async def hello(self, request: Request) -> Response:
        given = request.query_params
        greeting = Greeting(
            version=given.get("version", "")[:100],
            free_bytes=_number(given.get("free", "-1")),
            waiting=_number(given.get("waiting", "0")),
        )

        def work() -> Greeted:
            return self._hub.hello(self._signer(request, b"").kit, greeting)

        return _json(await anyio.to_thread.run_sync(work), 200)

    async def blob(self, request: Request) -> Response:
        body = await _body(request, PIECE_BYTES)
        name = str(request.path_params["sha256"])

        def work() -> tuple[int, bool]:
            caller = self._signer(request, body)
            if request.method == "HEAD":
                return self._hub.blob_offset(caller.kit, name)
            given = request.query_params
            offset, total = _number(given.get("offset", "")), _number(given.get("total", ""))
            return self._hub.blob_add(caller, name, offset, total, body)

        offset, whole = await anyio.to_thread.run_sync(work)
        headers = {_OFFSET: str(offset), _COMPLETE: "?1" if whole else "?0"}
        return Response(status_code=204, headers=headers)

    async def record(self, request: Request) -> Response:
        body = await _body(request, MOST_RECORD_BYTES)
        name = str(request.path_params["record"])
        taken = await anyio.to_thread.run_sync(
            lambda: self._hub.put_record(self._signer(request, body), name, body)
        )
        status = 201 if taken.new else 200
        return Response(taken.receipt, status_code=status, media_type="application/json")

    async def receipt(self, request: Request) -> Response:
        name = str(request.path_params["record"])
        receipt = await anyio.to_thread.run_sync(
            lambda: self._hub.receipt(self._signer(request, b"").kit, name)
        )
        return Response(receipt, media_type="application/json")

    async def changes(self, request: Request) -> Response:
        after = _number(request.query_params.get("after", "0"))
        found = await anyio.to_thread.run_sync(
            lambda: self._hub.changes(self._signer(request, b"").kit, after)
        )
        return _json(found, 200)

    def _signer(self, request: Request, body: bytes) -> Caller:
        return _caller(request, body, self._hub.key_of)


def _caller(request: Request, body: bytes, key_of: Callable[[str], Any]) -> Caller:
    target = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"]:
        target += "?" + query.decode("latin-1")
    try:
        return check_request(request.method, target, dict(request.headers), body, key_of)
    except NotSigned as error:
        raise Unsigned(error.what, error.next_step) from error


async def _body(request: Request, most: int) -> bytes:
    """The body, of which no more is read than any kit would send."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(f"No kit sends more than {most} bytes here.", "Send less at a time.")
        parts.append(part)
    return b"".join(parts)


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise Malformed(f"'{text[:40]}' is no number.", "Use a kit to send.") from error
    if not -1 <= number < 1 << 53:
        raise Malformed(f"{number} is out of range.", "Use a kit to send.")
    return number


def _json(reply: Struct, status: int) -> Response:
    return Response(msgspec.json.encode(reply), status, media_type="application/json")


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)  # noqa: S101 - Starlette hands over only these
    missing = error.missing if isinstance(error, BlobsMissing) else []
    problem = Problem(code=error.code, what=error.what, next_step=error.next_step, missing=missing)
    return _json(problem, error.status)


async def _no_such_path(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    problem = Problem(
        code="not_there",
        what="The workshop's hub has nothing at this address.",
        next_step="Use a kit of the same version.",
    )
    return _json(problem, status)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # Nobody is there to read it.
