"""A workshop with its hub on a real socket, a kit that is enrolled there, and its jobs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.sync.hubclient import HubClient, tls_for
from appliance.workshop.blobs import Blobs
from appliance.workshop.hub import Hub
from appliance.workshop.keys import TLS, TLS_KEY, WorkshopKeys, init_workshop
from appliance.workshop.program import make_app
from appliance.workshop.tables import HubDatabase

READY_S = 20.0


@dataclass
class Workshop:
    """A running workshop.

    Attributes:
        hub: its rules, as the office would use them.
        address: where kits reach it.
        clock: what is added to the hub's clock, in seconds.
    """

    hub: Hub
    keys: WorkshopKeys
    address: str
    folder: Path
    clock: list[float] = field(default_factory=lambda: [0.0])

    @property
    def port(self) -> int:
        """Where the hub listens."""
        return int(self.address.rsplit(":", 1)[1])

    def client(self, key: Ed25519PrivateKey) -> HubClient:
        """A kit's connection."""
        return HubClient(self.address, tls_for(self.keys.authority), key)

    def enrolled(self, key: Ed25519PrivateKey, name: str = "Van 1") -> HubClient:
        """A connection of a kit that was let in."""
        client = self.client(key)
        client.enrol(self.hub.new_token(name))
        return client


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of Debian's package, with durability on; gives the URL of an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "Debian's package postgresql is needed: make test installs it"
    socket_folder = Path(tempfile.mkdtemp(prefix="fkpg", dir="/tmp"))
    # PostgreSQL does not run as root.
    words: tuple[str, ...] = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    if words:
        for path in (folder, socket_folder):
            shutil.chown(path, "postgres")
    data = folder / "data"
    subprocess.run(
        [*words, programs[-1] / "initdb", "-D", data, "-A", "trust", "-U", "hub"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    server = subprocess.Popen(
        [*words, programs[-1] / "postgres", "-D", data, "-k", socket_folder, "-h", ""],
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    url = f"postgresql://hub@/postgres?host={socket_folder}"
    try:
        until = time.monotonic() + READY_S
        ready = [str(programs[-1] / "pg_isready"), "-h", str(socket_folder)]
        while subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode:
            assert time.monotonic() < until
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(socket_folder)


@contextmanager
def object_store() -> Iterator[str]:
    """An S3 server in a process of its own (moto's); gives the URL of an empty bucket."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "workshop")
        try:
            address = f"http://127.0.0.1:{port}"
            until = time.monotonic() + READY_S
            while not _bucket_made(f"{address}/workshop"):
                assert time.monotonic() < until
                time.sleep(0.1)
            yield f"s3://workshop/files?endpoint={address}&region=us-east-1"
        finally:
            server.terminate()
            server.wait()


def _bucket_made(address: str) -> bool:
    try:
        return httpx.put(address, timeout=READY_S).is_success
    except httpx.ConnectError:
        return False


@contextmanager
def serving(folder: Path, database: str = "", blobs: str = "") -> Iterator[Workshop]:
    """A workshop with its hub, over TLS on this machine."""
    keys = init_workshop(folder, ["127.0.0.1"], lambda identity: identity)
    clock = [0.0]
    hub = Hub(
        HubDatabase(database or str(folder / "hub.db")),
        Blobs(blobs or str(folder / "store")),
        keys.signing,
        lambda: time.time() + clock[0],
    )
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        make_app(hub, keys),
        lifespan="off",
        log_config=None,
        ssl_certfile=keys.folder / TLS,
        ssl_keyfile=keys.folder / TLS_KEY,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + READY_S
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        yield Workshop(hub, keys, address, folder, clock)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def backends(name: str) -> Iterator[tuple[str, str]]:
    """Database and store of a kind, as a hub is told of them; empty for what it has by itself."""
    with ExitStack() as stack:
        database = blobs = ""
        if "PostgreSQL" in name:
            place = Path(tempfile.mkdtemp(prefix="fkpg", dir="/tmp"))
            stack.callback(shutil.rmtree, place)
            database = stack.enter_context(postgres(place))
        if "S3" in name:
            blobs = stack.enter_context(object_store())
        yield database, blobs


@pytest.fixture(scope="module", params=["SQLite-folder", "PostgreSQL-folder", "PostgreSQL-S3"])
def workshop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workshop]:
    """The same workshop over each database and store: what a test asks of one, it asks of all."""
    with (
        backends(request.param) as (database, blobs),
        serving(tmp_path_factory.mktemp("workshop"), database, blobs) as running,
    ):
        yield running
