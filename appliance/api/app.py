"""The HTTP side: decodes bodies strictly, runs the service in threads, answers errors as sentences.

Nothing here blocks the event loop: each call of the service runs in a worker thread, the event
stream in threads of its own, so that many followers cannot keep a command waiting.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as HttpRoute

from appliance.api.messages import MAX_BODY, VERSION, Problem
from appliance.api.openapi import document
from appliance.api.routes import ROUTES, Route
from appliance.records import JobNotThere
from appliance.service import Service
from appliance.service.errors import Locked
from hw.errors import (
    UNDECODABLE,
    AbortedError,
    BadInputError,
    FieldKitError,
    RefusedError,
    UnavailableError,
    UsageError,
)

log = logging.getLogger("fieldkit.api")

MAX_FOLLOWERS = 16
FOLLOW_WAIT_S = 1.0
"""A silent stream sends an empty line this often, so that both sides notice a dead peer."""

_HTTP_STATUS: tuple[tuple[type[FieldKitError], int], ...] = (
    (Locked, 423),
    (JobNotThere, 404),
    (UsageError, 400),
    (BadInputError, 422),
    (RefusedError, 409),
    (AbortedError, 409),
    (UnavailableError, 503),
)
_STATUS_BY_EXIT = {64: 400, 65: 422, 69: 503, 75: 409, 77: 409}
_encode = msgspec.json.Encoder().encode
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(service: Service) -> Starlette:
    """Put the route table on HTTP, below `/v1`, with the OpenAPI document beside it."""
    followers = anyio.CapacityLimiter(MAX_FOLLOWERS)
    routes = [
        HttpRoute(
            f"/{VERSION}{route.path}",
            _stream_endpoint(service, followers) if route.stream else _endpoint(route, service),
            methods=[route.method],
        )
        for route in ROUTES
    ]

    async def describe(_request: Request) -> Response:
        # Made when asked for: it is most of the work of making the app, and the kit never asks.
        return Response(_encode(document()), media_type="application/json")

    routes.append(HttpRoute(f"/{VERSION}/openapi.json", describe, methods=["GET"]))
    return Starlette(
        routes=routes,
        exception_handlers={
            FieldKitError: _told,
            HTTPException: _no_such_path,
            ClientDisconnect: _gone,
            Exception: _defect,
        },
    )


def _endpoint(route: Route, service: Service) -> Endpoint:
    decoder = msgspec.json.Decoder(route.request) if route.request is not None else None
    handler = route.handler
    if handler is None:
        raise TypeError(f"{route.path} is a stream")

    async def answer(request: Request) -> Response:
        raw = await _body(request)
        body = _decode(decoder, raw) if decoder is not None else None
        parameters = {name: str(value) for name, value in request.path_params.items()}
        given = request.query_params
        parameters |= {name: given[name] for name in route.query if name in given}
        reply = await anyio.to_thread.run_sync(handler, service, parameters, body)
        return Response(_encode(reply), media_type="application/json")

    return answer


def _stream_endpoint(service: Service, limiter: anyio.CapacityLimiter) -> Endpoint:
    async def answer(request: Request) -> Response:
        job = str(request.path_params["job"])
        after = _number(request.query_params.get("after", "0"))
        follow = request.query_params.get("follow", "0") in ("1", "true")
        first = await anyio.to_thread.run_sync(service.events_after, job, after, 0.0)

        async def lines() -> AsyncIterator[bytes]:
            batch, at = first, after
            try:
                while batch or follow:
                    for event in batch:
                        at = event.seq
                        yield _encode(event) + b"\n"
                    if not batch:
                        yield b"\n"
                    wait_s = FOLLOW_WAIT_S if follow else 0.0
                    batch = await anyio.to_thread.run_sync(
                        service.events_after, job, at, wait_s, limiter=limiter
                    )
            except FieldKitError as error:
                # The status line is long gone: the problem is told as the stream's last line.
                yield _encode(problem_of(error)) + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return answer


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise BadInputError(
                f"The request is larger than {MAX_BODY // 2**20} MiB.", "Send a smaller file."
            )
        parts.append(part)
    return b"".join(parts)


def _decode(decoder: msgspec.json.Decoder[msgspec.Struct], raw: bytes) -> msgspec.Struct:
    try:
        return decoder.decode(raw)
    except UNDECODABLE as error:
        raise UsageError(
            f"The request is not understood: {error}.",
            f"Compare it with /{VERSION}/openapi.json; update the client if it is older.",
        ) from error


def _number(text: str) -> int:
    try:
        return max(int(text), 0)
    except ValueError as error:
        raise UsageError(f"after={text} is not a number.", "Name the last event seen.") from error


# Errors -------------------------------------------------------------------------------------------


def problem_of(error: FieldKitError) -> Problem:
    """The reply for an error: the same code and sentences on every floor."""
    return Problem(
        code=error.code,
        what=error.what,
        next_step=error.next_step,
        exit_status=error.exit_status,
        gate=getattr(error, "gate", ""),
    )


def _status_of(error: FieldKitError) -> int:
    for kind, status in _HTTP_STATUS:
        if isinstance(error, kind):
            return status
    return _STATUS_BY_EXIT.get(error.exit_status, 500)


async def _told(_request: Request, error: Exception) -> Response:
    if not isinstance(error, FieldKitError):
        raise error
    return _problem(problem_of(error), _status_of(error))


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path} does not exist."
    return _problem(
        Problem(
            code="usage",
            what=what,
            next_step=f"Read /{VERSION}/openapi.json for what does.",
            exit_status=64,
        ),
        status,
    )


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # Nobody is there to read it.


async def _defect(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _problem(
        Problem(
            code="internal",
            what="The appliance failed at this request; the reason is in its log.",
            next_step="Try again. If it fails again, send the log to the workshop.",
            exit_status=70,
        ),
        500,
    )


def _problem(problem: Problem, status: int) -> Response:
    return Response(_encode(problem), status_code=status, media_type="application/json")
