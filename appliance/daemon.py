"""`fieldkit-appliance`: the process that knows the job. Serves the API on its Unix socket."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from appliance.api.app import make_app
from appliance.decoding import look_at_every_type
from appliance.service import Service
from hw.config import run_dir, state_dir
from hw.errors import FieldKitError, UnavailableError

log = logging.getLogger("fieldkit.appliance")

STOP_WITHIN_S = 3
"""Followers of a stream are cut off this long after SIGTERM; a write that runs goes on in hw."""


def main() -> int:
    """Run until SIGTERM or SIGINT; returns a sysexits status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        serve(state_dir(), run_dir())
    except FieldKitError as error:
        print(f"fieldkit-appliance: {error.what}\n{error.next_step}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def serve(state: Path, run: Path) -> None:
    """Serve the API on `run/appliance.sock` until the process is told to stop.

    Raises:
        UnavailableError: another appliance answers there, or the socket cannot be made.
    """
    # uvicorn ends its serving on SIGTERM and then raises the signal again, for us.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    look_at_every_type()
    listener = _listen(run / "appliance.sock")
    with listener, Service(state, run) as service:
        config = uvicorn.Config(
            make_app(service),
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listen(path: Path) -> socket.socket:
    """The API's socket, mode 0660: the group of the folder decides who may use the kit."""
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        _remove_dead(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            previous = os.umask(0o117)
            try:
                listener.bind(str(path))
            finally:
                os.umask(previous)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UnavailableError(
            f"The appliance's socket {path} cannot be made: {error.strerror or error}.",
            "Check the folder's owner, or name another one in $FIELDKIT_RUN.",
        ) from error
    return listener


def _remove_dead(path: Path) -> None:
    """Remove what an appliance that was killed left behind; never take a live one's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise UnavailableError(
        f"An appliance already answers on {path}.", "Use that one, or stop it first."
    )


if __name__ == "__main__":
    sys.exit(main())
