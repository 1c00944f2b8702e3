"""`fieldkit workshop serve`: the hub as a program, until it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.decoding import look_at_every_type
from appliance.sync.nearby import announced
from appliance.workshop.api import make_hub_app
from appliance.workshop.blobs import Blobs
from appliance.workshop.hub import Hub
from appliance.workshop.keys import TLS, TLS_KEY, WorkshopKeys, load_keys
from appliance.workshop.office.app import make_office_app
from appliance.workshop.rereading import rereading
from appliance.workshop.tables import HubDatabase
from hw.errors import UnavailableError

DATABASE, STORE = "hub.db", "store"
STOP_WITHIN_S = 5
IDLE_S = 60
"""So long a connection is kept: a kit that reads a slow medium need not begin anew."""


def open_hub(folder: Path, database: str, blobs: str) -> tuple[Hub, WorkshopKeys]:
    """A workshop's hub.

    Args:
        folder: the workshop's.
        database: empty for the SQLite file in it.
        blobs: empty for the folder in it.

    Raises:
        FieldKitError: there is no workshop, or database or store cannot be opened.
    """
    keys = load_keys(folder)
    hub = Hub(
        HubDatabase(database or str(folder / DATABASE)),
        Blobs(blobs or str(folder / STORE)),
        keys.signing,
    )
    return hub, keys


def make_app(hub: Hub, keys: WorkshopKeys) -> ASGIApp:
    """Kits below `/v1`, the office's pages everywhere else."""
    look_at_every_type()
    kits, pages = make_hub_app(hub, keys.authority), make_office_app(hub, keys)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        of_kits = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (kits if of_kits else pages)(scope, receive, send)

    return app


def serve(hub: Hub, keys: WorkshopKeys, host: str, port: int, ready: Callable[[], None]) -> None:
    """Serve kits and the office over TLS until SIGTERM or SIGINT.

    Raises:
        UnavailableError: the address cannot be used.
    """
    # uvicorn ends its serving on SIGTERM and then raises the signal again, for us.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    config = uvicorn.Config(
        make_app(hub, keys),
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_config=None,
        ssl_certfile=keys.folder / TLS,
        ssl_keyfile=keys.folder / TLS_KEY,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        timeout_keep_alive=IDLE_S,
    )
    try:
        listener = config.bind_socket()
    except SystemExit as error:  # uvicorn's way to say that the address is taken
        raise UnavailableError(
            f"The workshop cannot serve on {host} port {port}.",
            "Another program may have it; name another one with --port.",
        ) from error
    with listener, announced(host, port, keys.fingerprint), rereading(hub):
        listener.listen(config.backlog)  # Whoever comes now waits until the first answer.
        ready()
        uvicorn.Server(config).run(sockets=[listener])
