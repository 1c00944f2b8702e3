"""Links that the kit's configuration names."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def is_discovery(uri: str) -> bool:
    """Does a link lead to a whole vehicle? So does a DoIP link that names no ECU (ISO 13400-2)."""
    parts = urlsplit(uri)
    return parts.scheme.startswith("doip") and "target" not in parse_qs(parts.query)
