"""Reaching the workshop: at the address that it gave, else where the local network says it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.hubclient import HubClient, NotReached
from appliance.sync.nearby import Nearby, NearbyError, local_addresses
from appliance.sync.pairing import Pairing, authority_fingerprint

log = logging.getLogger("fieldkit.sync")
T = TypeVar("T")


@dataclass
class Reaching:
    """Looks on the local network only while the workshop does not answer at its address.

    Attributes:
        found: called when an address worth trying is known.
    """

    found: Callable[[], None]
    _nearby: Nearby | None = None
    _interfaces: Sequence[str] = ()

    @contextmanager
    def hub(
        self, pairing: Pairing, key: Ed25519PrivateKey, greet: Callable[[HubClient], T]
    ) -> Iterator[tuple[HubClient, T]]:
        """A connection on which the greeting was answered, and that answer.

        Raises:
            NotReached: nobody answers anywhere; it is looked for until the next try.
            FieldKitError: as `greet`.
        """
        with ExitStack() as stack:
            yield self._first(stack, pairing, key, greet)

    def close(self) -> None:
        """Look no more."""
        if self._nearby is not None:
            self._nearby.close()
            self._nearby = None

    def _first(
        self,
        stack: ExitStack,
        pairing: Pairing,
        key: Ed25519PrivateKey,
        greet: Callable[[HubClient], T],
    ) -> tuple[HubClient, T]:
        hub = stack.enter_context(pairing.client(key))
        try:
            answer = greet(hub)
        except NotReached as error:
            away = error
        else:
            self.close()
            return hub, answer
        for address in self._near(pairing):
            hub = stack.enter_context(pairing.client(key, address))
            try:
                return hub, greet(hub)
            except NotReached as error:
                log.info("It is not the workshop at %s, or it does not answer: %s", address, error)
        raise away

    def _near(self, pairing: Pairing) -> list[str]:
        interfaces = local_addresses()
        if interfaces != self._interfaces:
            self.close()  # Another network came; nobody looks on that one yet.
        if self._nearby is None and interfaces:
            authority = authority_fingerprint(pairing.authority)
            try:
                self._nearby = Nearby(authority, self.found, interfaces)
            except (OSError, NearbyError) as error:
                log.info("The workshop cannot be looked for on the local network: %s", error)
        self._interfaces = interfaces
        return self._nearby.addresses() if self._nearby is not None else []
