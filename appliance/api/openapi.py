"""The OpenAPI 3.1 document, made from the route table and the message types."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from appliance.api.messages import VERSION, Problem
from appliance.api.routes import ROUTES, Route

_REFERENCE = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """The whole document, ready to be encoded as JSON."""
    kinds: list[type] = [Problem, *(route.reply for route in ROUTES)]
    kinds += [route.request for route in ROUTES if route.request is not None]
    schemas, components = msgspec.json.schema_components(
        list(dict.fromkeys(kinds)), ref_template=_REFERENCE
    )
    references = dict(zip(dict.fromkeys(kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        operation = _operation(route, references)
        paths.setdefault(f"/{VERSION}{route.path}", {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fieldkit appliance",
            "version": VERSION,
            "description": "HTTP on the Unix socket appliance.sock of the kit's run folder.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, references: dict[type, dict[str, Any]]) -> dict[str, Any]:
    media = "application/x-ndjson" if route.stream else "application/json"
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": [_path_parameter(name) for name in re.findall(r"{(\w+)}", route.path)],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {media: {"schema": references[route.reply]}},
            },
            "default": {
                "description": "Refused or failed: what, and what to do now.",
                "content": {"application/json": {"schema": references[Problem]}},
            },
        },
    }
    operation["parameters"] += [_query(name, "string") for name in route.query]
    if route.stream:
        operation["parameters"] += [_query("after", "integer"), _query("follow", "boolean")]
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[route.request]}},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.path).strip("/").replace("/", "_")
    return f"{route.method.lower()}_{words}"


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}}
