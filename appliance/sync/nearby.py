"""The workshop on the local network, by mDNS: where it may be found, and nothing more.

Whoever answers there is held to the authority, and to the name, that this kit was enrolled with; a
liar gets a TLS handshake that fails. Only IPv4, and never on link-local addresses: those are where
cars are (ISO 13400-2).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ifaddr
from zeroconf import (
    Error,
    IPVersion,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)

log = logging.getLogger("fieldkit.sync")

NearbyError = Error
"""What looking may fail with besides OSError."""
SERVICE = "_fieldkit._tcp.local."
AUTHORITY = "authority"
"""Its SHA-256 in the announcement: spares a kit to knock at other workshops."""
MOST = 8
_ASK_LIMIT_MS = 3000


def local_addresses() -> list[str]:
    """IPv4 addresses of this machine on which the workshop may be near."""
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [one for one in found if not ipaddress.ip_address(one).is_link_local]


class Nearby:
    """Looks while it is open. Thread-safe.

    Args:
        authority: SHA-256 of the workshop's certificate, lower-case hex.
        found: called when a new address is known.
        interfaces: this machine's addresses to look on.

    Raises:
        OSError, NearbyError: there is no network to look on.
    """

    def __init__(
        self, authority: str, found: Callable[[], None], interfaces: Sequence[str]
    ) -> None:
        self._authority, self._found = authority, found
        self._known: dict[str, list[str]] = {}
        self._zeroconf = Zeroconf(interfaces=list(interfaces), ip_version=IPVersion.V4Only)
        self._browser = ServiceBrowser(self._zeroconf, SERVICE, handlers=[self._changed])

    def close(self) -> None:
        """Look no more."""
        self._zeroconf.close()

    def addresses(self) -> list[str]:
        """`https://host:port` of everybody who says to be the workshop."""
        every = [one for addresses in list(self._known.values()) for one in addresses]
        return list(dict.fromkeys(every))[:MOST]

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            self._known.pop(name, None)
            return
        info = zeroconf.get_service_info(service_type, name, timeout=_ASK_LIMIT_MS)
        if info is None or info.properties.get(AUTHORITY.encode()) != self._authority.encode():
            return
        addresses = info.parsed_addresses(IPVersion.V4Only)
        told = [f"https://{address}:{info.port}" for address in addresses]
        if told != self._known.get(name) and len(self._known) < MOST:
            self._known[name] = told
            self._found()


@contextmanager
def announced(host: str, port: int, authority: str) -> Iterator[None]:
    """Tell the local network where the workshop is, while the block runs.

    Where that cannot be told the block runs all the same: kits know the address.

    Args:
        host: the address that the hub listens on; 0.0.0.0 for all of the machine's.
        port: of the hub.
        authority: SHA-256 of the workshop's certificate.
    """
    zeroconf = None
    try:
        interfaces = local_addresses() if host == "0.0.0.0" else [host]  # noqa: S104 - compared
        info = _info(interfaces, port, authority)
        zeroconf = Zeroconf(interfaces=interfaces, ip_version=IPVersion.V4Only)
        zeroconf.register_service(info, allow_name_change=True)
    except (OSError, Error, ValueError) as error:
        log.warning("The workshop is not announced on the local network: %s", error)
    try:
        yield
    finally:
        if zeroconf is not None:
            zeroconf.close()


def _info(interfaces: Sequence[str], port: int, authority: str) -> ServiceInfo:
    name = f"{socket.gethostname().split('.')[0]}-{port}"
    reached = [one for one in interfaces if not ipaddress.ip_address(one).is_loopback]
    return ServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port,
        properties={AUTHORITY: authority},
        server=f"{name}.local.",
        addresses=[socket.inet_aton(address) for address in reached or interfaces],
    )
