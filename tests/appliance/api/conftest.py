"""An appliance on its real socket, without hw."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.age import new_identity
from appliance.cli.setup import simulated_config
from appliance.client import Client
from appliance.identity import init_kit
from appliance.supervisor import Supervisor, appliance_program, in_environment

NAME, PASSPHRASE = "maria", "correct horse battery staple"


@dataclass
class Kit:
    """An appliance without hw, and raw HTTP to it."""

    folder: Path
    http: httpx.Client
    client: Client
    programs: Supervisor

    def unlocked(self) -> Kit:
        self.client.unlock(NAME, PASSPHRASE)
        return self

    def client_again(self) -> Client:
        """Another client; close it."""
        return Client(self.folder / "run" / "appliance.sock")

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(f"/v1{path}", json=body)


@pytest.fixture
def kit(short_tmp: Path) -> Iterator[Kit]:
    with running_kit(short_tmp) as made:
        yield made


@pytest.fixture(scope="module")
def one_kit() -> Iterator[Kit]:
    """One kit for a whole module, unlocked: its tests leave it as they found it."""
    folder = Path(tempfile.mkdtemp(prefix="fk", dir="/tmp"))
    try:
        with running_kit(folder) as made:
            yield made.unlocked()
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_kit(folder: Path) -> Iterator[Kit]:
    state, run = folder / "state", folder / "run"
    run.mkdir()
    init_kit(
        state,
        technicians=[(NAME, "owner", PASSPHRASE)],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config=simulated_config(state, run / "sim"),
    )
    environment = {"FIELDKIT_STATE": str(state), "FIELDKIT_RUN": str(run)}
    path = run / "appliance.sock"
    transport = httpx.HTTPTransport(uds=str(path))
    with (
        Supervisor(run, lambda _: None) as programs,
        httpx.Client(transport=transport, base_url="http://kit", timeout=20) as http,
        Client(path) as client,
    ):
        programs.start(in_environment(appliance_program(run), environment))
        yield Kit(folder, http, client, programs)
