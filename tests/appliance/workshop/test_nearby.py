"""A workshop that moved is found on the local network, and believed only for what it proves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.service import reaching as reaching_module
from appliance.service.reaching import Reaching
from appliance.sync.hubclient import HubClient, NotReached
from appliance.sync.nearby import Nearby, announced
from appliance.sync.pairing import Pairing
from hw.sshsig import public_line
from tests.appliance.workshop.conftest import Workshop, serving

HERE = "127.0.0.1"
LIMIT_S = 60.0
NOWHERE = "https://127.0.0.1:1"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with serving(tmp_path_factory.mktemp("workshop")) as workshop:
        yield workshop


def port_of(workshop: Workshop) -> int:
    return int(workshop.address.rsplit(":", 1)[1])


def pairing_with(workshop: Workshop) -> Pairing:
    """What a kit knows that was let in when the workshop had another address."""
    return Pairing(
        address=NOWHERE,
        authority=workshop.keys.authority,
        workshop_key=public_line(workshop.keys.signing),
        name="Van 1",
    )


@contextmanager
def looking(found: threading.Event) -> Iterator[Reaching]:
    reaching = Reaching(found.set)
    try:
        yield reaching
    finally:
        reaching.close()


def hello(hub: HubClient) -> int:
    return hub.hello("1", -1, 0).time


@pytest.fixture
def kit_key(workshop: Workshop) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    workshop.enrolled(key).__exit__(None, None, None)
    return key


def test_a_workshop_that_moved_is_reached_where_the_network_says(
    workshop: Workshop, kit_key: Ed25519PrivateKey
) -> None:
    found, pairing = threading.Event(), pairing_with(workshop)
    with looking(found) as reaching, announced(HERE, port_of(workshop), workshop.keys.fingerprint):
        with pytest.raises(NotReached), reaching.hub(pairing, kit_key, hello):
            pass
        assert found.wait(LIMIT_S)
        with reaching.hub(pairing, kit_key, hello) as (_, hub_time):
            assert hub_time > 0


def test_it_is_looked_for_in_a_network_that_comes_later(
    workshop: Workshop, kit_key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, pairing, addresses = threading.Event(), pairing_with(workshop), list[str]()
    monkeypatch.setattr(reaching_module, "local_addresses", lambda: list(addresses))
    with looking(found) as reaching, announced(HERE, port_of(workshop), workshop.keys.fingerprint):
        for _ in range(2):
            with pytest.raises(NotReached), reaching.hub(pairing, kit_key, hello):
                pass
            assert not found.is_set()
        addresses.append(HERE)
        with pytest.raises(NotReached), reaching.hub(pairing, kit_key, hello):
            pass
        assert found.wait(LIMIT_S)
        with reaching.hub(pairing, kit_key, hello) as (_, hub_time):
            assert hub_time > 0


def test_another_workshop_that_says_to_be_this_one_is_not_believed(
    workshop: Workshop, kit_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    found, pairing = threading.Event(), pairing_with(workshop)
    with (
        serving(tmp_path) as liar,
        announced(HERE, port_of(liar), workshop.keys.fingerprint),
        looking(found) as reaching,
    ):
        with pytest.raises(NotReached), reaching.hub(pairing, kit_key, hello):
            pass
        assert found.wait(LIMIT_S)
        with pytest.raises(NotReached), reaching.hub(pairing, kit_key, hello):
            pass
        with liar.hub.database.reading() as tables:
            assert tables.nonces.select().count() == 0


def test_other_workshops_in_the_network_are_not_knocked_at(workshop: Workshop) -> None:
    found = threading.Event()
    mine, other = workshop.keys.fingerprint, "0" * 64
    nearby = Nearby(mine, found.set, [HERE])
    try:
        with announced(HERE, 4444, other), announced(HERE, port_of(workshop), mine):
            assert found.wait(LIMIT_S)
            assert nearby.addresses() == [workshop.address]
    finally:
        nearby.close()


def test_an_address_that_cannot_be_announced_keeps_no_workshop_from_serving() -> None:
    with announced("no address", 1, "0" * 64):
        pass
