"""Options that many commands share, each with the one word that scripts rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _profile(word: str) -> str:
    """A file's name means the same to the appliance, which works in another folder."""
    is_file = "/" in word or word.endswith(".toml")
    return str(Path(word).resolve()) if is_file else word


Json = Annotated[bool, typer.Option("--json", help="One JSON object, or one per line for streams.")]
Link = Annotated[
    str, typer.Option("--link", metavar="URI", help="Link to the ECU, such as can://… or doip://…")
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile", metavar="NAME_OR_FILE", help="Profile of the ECU.", callback=_profile
    ),
]
Job = Annotated[str, typer.Option("--job", metavar="ID", help="The job this belongs to.")]
OptionalJob = Annotated[
    str, typer.Option("--job", metavar="ID", help="Also put it on this job's record.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File whose first line is the passphrase; '-' is standard input.",
    ),
]
NewPassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--new-passphrase-file",
        metavar="FILE",
        help="File whose first line is the passphrase that is being chosen.",
    ),
]
Accept = Annotated[
    str,
    typer.Option(
        "--yes-i-accept",
        metavar="RISK_DIGEST",
        help="Digest of the risk text that was read, where there is no screen to show it.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Where the plan's file goes.")
]
Language = Annotated[
    str, typer.Option("--language", metavar="CODE", help="Language of a text: en, af or de.")
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job.")]
PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan's file.")]
