"""The command line `fieldkit`: a client of the appliance's API.

Exit codes: 0 done or verified, 64 usage, 65 bad input file, 69 link or device not available,
75 aborted but recoverable, 77 refused by a gate, 70 a defect of this program, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors become two sentences on standard error."""
    # Imported here, so that `import appliance.cli` stays cheap and errors of imports are told too.
    from appliance.cli.run import run_command  # noqa: PLC0415 - see above

    return run_command(arguments)
