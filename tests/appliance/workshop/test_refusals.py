"""What the hub refuses, byte by byte as it comes over TLS; nothing of it is written."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.hubclient import tls_for
from appliance.sync.requests import MAX_AGE_S, sign_request
from appliance.workshop.hub import MOST_RECORD_BYTES
from tests.appliance.workshop.conftest import Workshop

RECORD = "/v1/records/01a20000-0000-7000-8000-00000000000b"


@pytest.fixture
def key(workshop: Workshop) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    workshop.enrolled(key).__exit__(None, None, None)
    return key


@pytest.fixture
def http(workshop: Workshop) -> Iterator[httpx.Client]:
    tls = tls_for(workshop.keys.authority)
    with httpx.Client(base_url=workshop.address, verify=tls, timeout=60) as client:
        yield client


def rows(workshop: Workshop) -> dict[str, int]:
    """How much lies in the tables that a kit can write to."""
    with workshop.hub.database.reading() as tables:
        return {
            name: getattr(tables, name).select().count()
            for name in ("kits", "records", "conflicts", "jobs", "blobs")
        }


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    told = msgspec.json.decode(answer.content)
    assert told["code"] == code
    assert told["what"].endswith(".")
    assert told["next_step"].endswith(".")


def test_what_is_not_signed_for_exactly_this_is_not_taken(
    workshop: Workshop, http: httpx.Client, key: Ed25519PrivateKey
) -> None:
    before, now = rows(workshop), time.time()
    good = sign_request(key, "PUT", RECORD, b"{}", now)
    for method, target, body, headers in (
        ("PUT", RECORD, b"{}", {}),
        ("PUT", RECORD, b"{ }", good),
        ("PUT", RECORD + "?more=1", b"{}", good),
        ("PUT", RECORD[:-1] + "c", b"{}", good),
        ("PUT", RECORD, b"{}", {**good, "Signature": "kit=:AAAA:"}),
        ("PUT", RECORD, b"{}", {**good, "Signature-Input": "kit=nonsense"}),
        ("PUT", RECORD, b"{}", sign_request(key, "PUT", RECORD, b"{}", now - MAX_AGE_S - 60)),
        ("PUT", RECORD, b"{}", sign_request(key, "PUT", RECORD, b"{}", now + MAX_AGE_S + 60)),
        ("PUT", RECORD, b"{}", sign_request(key, "GET", RECORD, b"{}", now)),
        (
            "PUT",
            RECORD,
            b"{}",
            sign_request(Ed25519PrivateKey.generate(), "PUT", RECORD, b"{}", now),
        ),
    ):
        answer = http.request(method, target, content=body, headers=headers)
        refused(answer, 401, "not_signed")
    assert rows(workshop) == before


def test_a_request_is_taken_once(
    workshop: Workshop, http: httpx.Client, key: Ed25519PrivateKey
) -> None:
    target = f"/v1/blobs/{'0' * 64}?offset=0&total=2"
    headers = sign_request(key, "PATCH", target, b"x", time.time())
    assert http.patch(target, content=b"x", headers=headers).status_code == 204
    refused(http.patch(target, content=b"x", headers=headers), 401, "not_signed")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff\xfe", b"[" * 5000, b'{"document":"{}","signature":"x"}', b"null"],
)
def test_what_is_no_record_is_put_aside(
    workshop: Workshop, http: httpx.Client, key: Ed25519PrivateKey, body: bytes
) -> None:
    before = rows(workshop)
    headers = sign_request(key, "PUT", RECORD, body, time.time())
    refused(http.put(RECORD, content=body, headers=headers), 400, "malformed")
    assert rows(workshop) == before


def test_what_no_kit_would_send_is_not_read_to_its_end(
    workshop: Workshop, http: httpx.Client, key: Ed25519PrivateKey
) -> None:
    large = bytes(MOST_RECORD_BYTES + 1)
    headers = sign_request(key, "PUT", RECORD, large, time.time())
    refused(http.put(RECORD, content=large, headers=headers), 413, "too_large")


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"/v1/blobs/{'0' * 64}?offset=x&total=2", 400, "malformed"),
        (f"/v1/blobs/{'0' * 64}?offset=0&total={1 << 60}", 400, "malformed"),
        (f"/v1/blobs/{'0' * 64}?offset=0&total={1 << 40}", 413, "too_large"),
        (f"/v1/blobs/{'0' * 64}?offset=5&total=9", 409, "conflict"),
        ("/v1/blobs/..%2F..%2Fetc%2Fpasswd?offset=0&total=1", 404, "not_there"),
        (f"/v1/blobs/{'Z' * 64}?offset=0&total=1", 400, "malformed"),
        ("/v1/nothing", 404, "not_there"),
    ],
)
def test_a_blob_that_is_asked_for_wrongly_is_refused(
    http: httpx.Client, key: Ed25519PrivateKey, target: str, status: int, code: str
) -> None:
    headers = sign_request(key, "PATCH", target, b"x", time.time())
    refused(http.patch(target, content=b"x", headers=headers), status, code)
