"""The hub's API for kits as an OpenAPI 3.1 document, made of the types that it decodes.

Every request but two is signed (RFC 9421, `appliance.sync.requests`), which OpenAPI has no word
for: the three headers stand as parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import msgspec

from appliance.sync.change import Changes
from appliance.sync.record import Signed
from appliance.workshop.wire import Enrol, Enrolled, Greeted, Problem

JSON, OCTETS, PEM = "application/json", "application/octet-stream", "application/x-pem-file"
_SIGNATURE = ("Signature-Input", "Signature", "Content-Digest")
_NUMBER = {"type": "integer", "minimum": -1, "maximum": (1 << 53) - 1}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_REF = "#/components/schemas/{name}"
_UUID = {"type": "string", "format": "uuid"}
_REFUSED = (400, 401, 403, 404, 409, 413, 424, 503, 507)
"""Each with a `Problem`; `appliance.workshop.errors` says what a kit does then."""


@dataclass(frozen=True)
class Operation:
    """What can be asked.

    Attributes:
        answers: media type, and type where it is JSON, by status; None for no body.
        query, path: parameters by name.
        body: media type, and type where it is JSON.
    """

    method: str
    path: str
    summary: str
    answers: dict[int, tuple[str, Any] | None]
    query: dict[str, dict[str, Any]] = field(default_factory=dict)
    optional: bool = False
    body: tuple[str, Any] | None = None
    signed: bool = True


_PROGRESS: dict[int, tuple[str, Any] | None] = {204: None}
OPERATIONS = (
    Operation(
        "get", "/v1/openapi.json", "This document", {200: (JSON, dict[str, Any])}, signed=False
    ),
    Operation(
        "get", "/v1/authority", "The authority's certificate", {200: (PEM, None)}, signed=False
    ),
    Operation("post", "/v1/enrol", "Let this kit in", {201: (JSON, Enrolled)}, body=(JSON, Enrol)),
    Operation(
        "get",
        "/v1/hello",
        "Say that this kit is there",
        {200: (JSON, Greeted)},
        query={"version": {"type": "string"}, "free": _NUMBER, "waiting": _NUMBER},
        optional=True,
    ),
    Operation("head", "/v1/blobs/{sha256}", "How much of a blob is here", _PROGRESS),
    Operation(
        "patch",
        "/v1/blobs/{sha256}",
        "Add a piece of a blob",
        _PROGRESS,
        query={"offset": _NUMBER, "total": _NUMBER},
        body=(OCTETS, None),
    ),
    Operation(
        "put",
        "/v1/records/{record}",
        "Hand a record over",
        {200: (JSON, Signed), 201: (JSON, Signed)},
        body=(JSON, Signed),
    ),
    Operation("get", "/v1/receipts/{record}", "The receipt for a record", {200: (JSON, Signed)}),
    Operation(
        "get",
        "/v1/changes",
        "What the workshop has for this kit",
        {200: (JSON, Changes)},
        query={"after": _NUMBER},
        optional=True,
    ),
)


def openapi_document() -> dict[str, Any]:
    """The whole document."""
    types = [Problem, Signed, Enrol, Enrolled, Greeted, Changes]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The workshop's hub, for kits", "version": version("fieldkit")},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(one: Operation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "summary": one.summary,
        "parameters": [*_parameters(one)],
        "responses": {
            str(status): {"description": "Done", **_content(answer)}
            for status, answer in one.answers.items()
        },
    }
    if one.body is not None:
        shown["requestBody"] = {"required": True, **_content(one.body)}
    # An answer to HEAD has no body, whatever its status.
    refusal = None if one.method == "head" else (JSON, Problem)
    for status in _REFUSED:
        shown["responses"][str(status)] = {"description": "Not done", **_content(refusal)}
    return shown


def _parameters(one: Operation) -> list[dict[str, Any]]:
    found = []
    for name, schema in (("sha256", _SHA256), ("record", _UUID)):
        if f"{{{name}}}" in one.path:
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name, schema in one.query.items():
        found.append({"name": name, "in": "query", "required": not one.optional, "schema": schema})
    if one.signed:
        text = {"type": "string"}
        found += [
            {"name": name, "in": "header", "required": True, "schema": text} for name in _SIGNATURE
        ]
    return found


def _content(body: tuple[str, Any] | None) -> dict[str, Any]:
    if body is None:
        return {}
    media, type_ = body
    schema: dict[str, Any] = {}
    if type_ is not None:
        (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REF)
    return {"content": {media: {"schema": schema}}}
