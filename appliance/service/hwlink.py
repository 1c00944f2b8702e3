"""The appliance's connection to hw: made when it is needed, made again when hw comes back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from hw import clock
from hw.client import HwClient
from hw.errors import UnavailableError
from hw.messages import Event

RETRY_S = 1.0


class HwLink:
    """Keeps one subscribed connection to hw.

    Args:
        path: hw's socket.
        on_event: takes each event of hw, on the connection's own thread; must only enqueue.
        on_connected: called after each (re)connection: events may have been missed before it.
    """

    def __init__(
        self, path: Path, on_event: Callable[[Event], None], on_connected: Callable[[], None]
    ) -> None:
        self._client = HwClient(path, "fieldkit-appliance", on_event)
        self._on_connected = on_connected
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._seen_at = clock.now()
        self._keeper = threading.Thread(target=self._keep, name="hw-link", daemon=True)

    def start(self) -> None:
        """Begin to keep the connection."""
        self._keeper.start()

    def close(self) -> None:
        """Give the connection up."""
        self._stop.set()
        self._keeper.join(timeout=5)
        self._client.close()

    def client(self) -> HwClient:
        """The connection, made now if there is none.

        Raises:
            UnavailableError: hw does not run.
        """
        with self._lock:
            if self._client.connected:
                self._seen_at = clock.now()
                return self._client
            self._client.connect()
            self._client.subscribe()
            self._seen_at = clock.now()
        self._on_connected()
        return self._client

    def away_s(self) -> float:
        """Seconds since the connection was last seen; it is looked at each second."""
        return clock.now() - self._seen_at

    def _keep(self) -> None:
        while not self._stop.is_set():
            # Whoever needs hw asks for the connection and is told; here it is only tried again.
            with contextlib.suppress(UnavailableError):
                self.client()
            self._stop.wait(RETRY_S)
