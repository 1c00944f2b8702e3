"""Whatever is sent to the hub, by whom it knows and by whom it does not: it answers in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.schemas import OpenApiSchema
from starlette.routing import Route

from appliance.sync.hubclient import tls_for
from appliance.sync.requests import sign_request
from appliance.workshop.api import make_hub_app
from appliance.workshop.openapi import OPERATIONS, openapi_document
from tests.appliance.workshop.conftest import Workshop, serving

EXAMPLES = 40
SCHEMA: OpenApiSchema = schemathesis.openapi.from_dict(openapi_document())
KEY = Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with serving(tmp_path_factory.mktemp("workshop")) as running:
        running.enrolled(KEY).__exit__(None, None, None)
        yield running


@pytest.fixture(scope="module")
def session(workshop: Workshop) -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.verify = str(workshop.keys.folder / "authority.pem")
        yield opened


def test_the_document_is_served_and_names_every_route(workshop: Workshop) -> None:
    tls = tls_for(workshop.keys.authority)
    with httpx.Client(base_url=workshop.address, verify=tls) as http:
        assert http.get("/v1/openapi.json").json() == openapi_document()
    routes = make_hub_app(workshop.hub, workshop.keys.authority).routes
    served = {
        (method.lower(), route.path)
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    named = {(one.method, one.path) for one in OPERATIONS}
    # Starlette answers HEAD wherever it answers GET.
    assert served - {("head", path) for _, path in named} == named - {
        ("head", "/v1/blobs/{sha256}")
    }


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
@pytest.mark.timeout(300)
def test_no_request_makes_the_hub_fail(
    workshop: Workshop, session: requests.Session, operation: Any, signed: bool
) -> None:
    found, statuses = SCHEMA[operation.path][operation.method.upper()], set[int]()

    @given(case=found.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case[Any]) -> None:
        request = requests.Request(**case.as_transport_kwargs(base_url=workshop.address))
        prepared = session.prepare_request(request)
        if signed:
            body = prepared.body or b""
            assert isinstance(body, str | bytes)
            content = body.encode() if isinstance(body, str) else body
            target = prepared.path_url
            prepared.headers.update(
                sign_request(KEY, operation.method.upper(), target, content, time.time())
            )
        answer = session.send(prepared, timeout=60)
        statuses.add(answer.status_code)
        judge(operation, answer)

    ask()
    assert statuses != {401} or not signed, "nothing got past the signature"


def judge(operation: Any, answer: requests.Response) -> None:
    """It is an answer that the document names, and a refusal is told in words."""
    assert answer.status_code < 500, answer.text
    if answer.status_code in operation.answers or operation.method == "head":
        return
    told = msgspec.json.decode(answer.content)
    assert told["what"].endswith((".", "?")), told
    assert told["next_step"].endswith("."), told
    assert (
        str(answer.status_code)
        in openapi_document()["paths"][operation.path][operation.method]["responses"]
    ), answer.status_code


def test_what_was_sent_by_chance_leaves_nothing(workshop: Workshop) -> None:
    with workshop.hub.database.reading() as tables:
        for table in (tables.records, tables.conflicts, tables.jobs):
            assert table.select().count() == 0
        assert tables.kits.select().count() == 1
