"""The demo's workshop: its hub in a process of its own, asked by its own commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import supervisor
from appliance.api import messages as m
from appliance.client import Client
from hw.errors import UnavailableError

HOST = "127.0.0.1"
COMMAND_WITHIN_S = 60.0
HANDED_OVER_WITHIN_S = 60.0
POLL_S = 0.5
_WORKSHOP = (sys.executable, "-m", "appliance.cli", "workshop")


@dataclass(frozen=True)
class DemoHub:
    """A workshop that was made, with the port that its hub is to serve on.

    Attributes:
        recovery_identity: as it was shown when the workshop was made.
        workshop_recipient, recovery_recipient: whom the kit encrypts backups to, besides itself.
    """

    folder: Path
    port: int
    recovery_identity: str
    workshop_recipient: str
    recovery_recipient: str

    @property
    def program(self) -> supervisor.Program:
        """The hub."""
        words = ("serve", "--host", HOST, "--port", str(self.port), "--json")
        return supervisor.Program("workshop", [*_WORKSHOP, *words], environment=self._environment)

    @property
    def address(self) -> str:
        """Where browsers and kits find it."""
        return f"https://{HOST}:{self.port}"

    @property
    def _environment(self) -> dict[str, str]:
        return {"FIELDKIT_WORKSHOP": str(self.folder)}

    def enrol(self, client: Client) -> None:
        """Let the kit in, which an owner has unlocked."""
        code = self._ask("enrol", "Demo van", "--port", str(self.port))["code"]
        client.sync_enrol(code)

    def taken(self, client: Client) -> tuple[m.Sync, dict[str, Any]]:
        """Have everything handed over; how the kit stands then, and what the workshop proves."""
        until = time.monotonic() + HANDED_OVER_WITHIN_S
        while (view := client.sync_now()).state != "idle" and time.monotonic() < until:
            time.sleep(POLL_S)
        return view, self._ask("verify")

    def _ask(self, *words: str) -> dict[str, Any]:
        """One of the workshop's commands, as its office would use it.

        Raises:
            UnavailableError: it failed.
        """
        ended = subprocess.run(
            [*_WORKSHOP, *words, "--json"],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_WITHIN_S,
        )
        if ended.returncode:
            raise UnavailableError(
                f"The workshop's command '{words[0]}' failed: {ended.stderr.strip()}",
                "Look at the logs above.",
            )
        told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return told


def make_demo_hub(folder: Path) -> DemoHub:
    """Make a workshop in a folder that is not there yet; its hub is started by the caller."""
    from appliance.workshop.keys import init_workshop  # noqa: PLC0415 - no kit needs it

    shown: list[str] = []

    def read_back(identity: str) -> str:
        shown.append(identity)
        return identity

    keys = init_workshop(folder, [HOST], read_back)
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return DemoHub(folder, port, shown[0], keys.workshop_recipient, keys.recovery_recipient)
