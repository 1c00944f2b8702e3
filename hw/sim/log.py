"""What the simulated ECUs received: tests assert on this log, not on what the kit says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from hw import clock
from hw.sim.ecu import Ecu, Send

FULL_BYTES = 64
HEAD_BYTES = 16


class Requests:
    """Logs every request and hands it to its ECU.

    Args:
        path: JSON lines, one per request, written when its answer is known.

    Attributes:
        on_request: told of each request before it is carried out (ECU name, service).
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")
        self.on_request: Callable[[str, int], None] = lambda _ecu, _service: None
        self._entries: list[dict[str, Any]] = []

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._entries)

    def after(self, number: int) -> list[dict[str, Any]]:
        """Entries with a number above `number`, in the order in which they were received."""
        return self._entries[number:]

    async def handle(self, ecu: Ecu, request: bytes, link: str, send: Send) -> None:
        """Log a request, carry it out, log its answer."""
        entry: dict[str, Any] = {
            "n": len(self._entries) + 1,
            "at": clock.now(),
            "ecu": ecu.definition.name,
            "link": link,
            "serial": ecu.dids[0xF18C].decode(),
            "volts": round(ecu.volts, 3),
            **_shown("request", request),
            "response": "",
        }
        self._entries.append(entry)
        self.on_request(ecu.definition.name, request[0] if request else 0)
        answer = await ecu.handle(request, link, send)
        entry.update(_shown("response", answer))
        self._file.write(json.dumps(entry) + "\n")

    def flush(self) -> None:
        """Write out what is buffered."""
        self._file.flush()


def _shown(name: str, data: bytes) -> dict[str, Any]:
    """Short messages whole; of long ones the head, the length and the SHA-256."""
    if len(data) <= FULL_BYTES:
        return {name: data.hex()}
    return {
        name: data[:HEAD_BYTES].hex(),
        f"{name}_length": len(data),
        f"{name}_sha256": hashlib.sha256(data).hexdigest(),
    }
