"""Links to ECUs: the only way from the kit to a bus.

`open_link` opens a link for one conversation partner, `discover` finds those that announce
themselves. The transports and their libraries are loaded on first use: `hw` starts without them.
"""

from __future__ import annotations

from hw.links.base import (
    FrameCheck,
    Link,
    LinkBusy,
    LinkError,
    LinkGate,
    LinkLost,
    NegativeResponse,
    NoAnswer,
)
from hw.links.uri import CanUri, parse, parse_discovery
from hw.messages import FoundEcu
from hw.plan import Timing

__all__ = [
    "FrameCheck",
    "Link",
    "LinkBusy",
    "LinkError",
    "LinkGate",
    "LinkLost",
    "NegativeResponse",
    "NoAnswer",
    "discover",
    "open_link",
]


def open_link(uri: str, gate: LinkGate, timing: Timing) -> Link:
    """Open the link that a URI names (see `hw.links.uri`).

    Args:
        uri: can://, doip:// or doip+tls://.
        gate: asked before every request and every frame of a write.
        timing: how long answers may take, in seconds.

    Raises:
        UsageError: the URI is wrong; the sentence names the key.
        LinkError: the interface, device or entity is not there or refuses.
    """
    parsed = parse(uri)
    if isinstance(parsed, CanUri):
        from hw.links.can import CanLink  # noqa: PLC0415 - loads python-can

        return CanLink(parsed, gate, timing)
    from hw.links.doip import DoipLink  # noqa: PLC0415 - loads doipclient

    return DoipLink(parsed, gate, timing)


def discover(uri: str) -> list[FoundEcu]:
    """Find entities that answer a DoIP vehicle identification request (ISO 13400-2:2019, 7.4).

    Args:
        uri: `doip://HOST[:PORT][?source=0x0E00]`. With a broadcast address, announcements of
            entities that have just started are heard too.

    Returns:
        What answered, by logical address. Empty when nothing did. `link` lacks `source` unless the
        given URI has it: the kit's own address has no default.

    Raises:
        UsageError: the URI is wrong.
        LinkError: the network cannot be used.
    """
    from hw.links.doip import discover_entities  # noqa: PLC0415 - loads doipclient

    return discover_entities(parse_discovery(uri))
