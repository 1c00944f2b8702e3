"""Commands that set a kit up and start its processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance import supervisor
from appliance.carlinks import write_car_links
from appliance.cli import ask
from appliance.cli.options import Json, PassphraseFile
from appliance.cli.output import console, facts, read_file, say, say_json
from appliance.identity import NewKit, init_kit
from hw.config import load_config, run_dir, state_dir
from hw.errors import UnavailableError, UsageError

REGISTERS = "ina219.registers"
"""The simulated sensor's file in the simulated car's folder."""


def init(  # noqa: PLR0913, PLR0917 - typer makes each argument an option
    technician: Annotated[
        list[str] | None,
        typer.Option(
            "--technician",
            metavar="NAME[:ROLE]",
            help="Role is technician or owner (the default); may be given more than once.",
        ),
    ] = None,
    workshop: Annotated[
        str, typer.Option("--workshop", metavar="AGE", help="Workshop's age recipient, age1…")
    ] = "",
    recovery: Annotated[
        str, typer.Option("--recovery", metavar="AGE", help="Offline recovery recipient, age1…")
    ] = "",
    workshop_key: Annotated[
        Path | None,
        typer.Option(
            "--workshop-key",
            metavar="FILE",
            help="Workshop's SSH public key; without it the kit signs its own profiles.",
        ),
    ] = None,
    sensor: Annotated[str, typer.Option("--sensor", metavar="URI")] = "ina219:///dev/i2c-1/0x40",
    medium_a: Annotated[str, typer.Option("--medium-a", metavar="DIR")] = "/media/fieldkit-a",
    medium_b: Annotated[str, typer.Option("--medium-b", metavar="DIR")] = "/media/fieldkit-b",
    simulated: Annotated[
        bool,
        typer.Option("--sim", help="For the simulated car: simulated sensor, media as folders."),
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Create this kit: keys, technicians, recipients of its backups, configuration."""
    config: dict[str, object] = {
        "voltage": {"sensor": sensor},
        "media": {"a": medium_a, "b": medium_b},
    }
    if simulated:
        config = simulated_config(state_dir(), run_dir() / "sim")
    made = init_kit(
        state_dir(),
        technicians=_people(technician, passphrase_file),
        workshop_recipient=workshop or _recipient("workshop"),
        recovery_recipient=recovery or _recipient("recovery"),
        config=config,
        workshop_key=read_file(workshop_key, "key").decode(errors="replace")
        if workshop_key is not None
        else None,
    )
    _tell_kit(made, as_json=as_json)


def simulated_config(state: Path, car: Path) -> dict[str, object]:
    """Tables of `kit.toml` for a kit on the simulated car whose folder is `car`."""
    return {
        "voltage": {"sensor": f"ina219+sim://{car / REGISTERS}"},
        "media": {
            "a": str(state / "medium-a"),
            "b": str(state / "medium-b"),
            "simulated": True,
        },
        "sticks": {"roots": [str(state / "sticks")], "simulated": True},
    }


def _people(given: list[str] | None, file: Path | None) -> list[tuple[str, str, str]]:
    words = given or []
    if not words:
        if not sys.stdin.isatty():
            raise UsageError("A kit needs a technician.", "Name one with --technician NAME.")
        words = [console.input("Your name (short, without spaces): ").strip()]
    if file is not None and len(words) > 1:
        raise UsageError(
            "One passphrase file cannot serve two technicians.",
            "Give one technician here; each chooses their own passphrase.",
        )
    people = []
    for word in words:
        name, _, role = word.partition(":")
        people.append((name, role or "owner", ask.new_passphrase(file, name)))
    return people


def _recipient(whose: str) -> str:
    if sys.stdin.isatty():
        return console.input(f"age recipient of the {whose} (age1…): ").strip()
    raise UsageError(
        f"The {whose} recipient of the backups is missing.",
        f"Make an identity with age-keygen and give its public key with --{whose}.",
    )


def _tell_kit(made: NewKit, *, as_json: bool) -> None:
    profiles = [path.stem for path in made.profiles]
    if as_json:
        say_json(
            {
                "state": str(state_dir()),
                "kit_key": made.kit_key.strip(),
                "kit_recipient": made.kit_recipient,
                "workshop_key": made.workshop_key.strip(),
                "standalone": made.standalone,
                "profiles": profiles,
            }
        )
        return
    say(f"The kit is made in {state_dir()}.", style="bold")
    facts(
        [
            ("kit's key", made.kit_key.strip()),
            ("kit's recipient", made.kit_recipient),
            ("workshop's key", made.workshop_key.strip()),
            ("profiles", ", ".join(profiles) or "none; the workshop brings them"),
        ]
    )
    say(f"Look at {state_dir() / 'kit.toml'}, then: fieldkit up")


# Processes ----------------------------------------------------------------------------------------


def up(
    with_sim: Annotated[bool, typer.Option("--sim", help="Also start the simulated car.")] = False,
    as_json: Json = False,
) -> None:
    """Start hw and the appliance and keep them running until Ctrl-C; logs are in the run folder."""
    run = run_dir()
    config = load_config(state_dir())
    _make_folder(run)
    supervisor.refuse_second_kit(run)
    car = run / "sim"
    if with_sim and config.voltage.sensor != f"ina219+sim://{car / REGISTERS}":
        raise UsageError(
            f"This kit's sensor is {config.voltage.sensor}, not the simulated car's.",
            f'Set sensor = "ina219+sim://{car / REGISTERS}" in {state_dir() / "kit.toml"}, or make '
            "a kit for it with 'fieldkit init --sim'.",
        )

    def tell(text: str) -> None:
        if as_json:
            say_json({"event": text})
        else:
            say(text)

    with supervisor.Supervisor(run, tell) as programs:
        if with_sim:
            car.mkdir(mode=0o700, exist_ok=True)
            announced = programs.start(supervisor.simulator("--folder", str(car), "--pace"))
            announced_car = supervisor.car_of(announced)
            write_car_links(state_dir(), announced_car)
            _tell_links(announced_car, as_json=as_json)
        programs.start(supervisor.hw_program(run))
        programs.start(supervisor.appliance_program(run))
        if as_json:
            say_json({"event": "ready", "run": str(run), "state": str(state_dir())})
        else:
            say(f"The kit is up. Sockets and logs: {run}. Stop it with Ctrl-C.")
        programs.watch()


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(mode=0o770, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"The run folder {run} cannot be made: {error.strerror}.",
            "Name another one in $FIELDKIT_RUN.",
        ) from error


def _tell_links(car: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        say_json({"event": "sim", "car": car})
        return
    say("The simulated car:", style="bold")
    ecus = car.get("ecus")
    if isinstance(ecus, dict):
        facts(
            (f"{name} {kind}", str(uri))
            for name, links in ecus.items()
            for kind, uri in links.items()
        )


def sim(context: typer.Context) -> None:
    """Start the simulated car and print its links as JSON; options go to it (--help lists them)."""
    words = [sys.executable, "-m", "hw.sim", *context.args]
    os.execv(sys.executable, words)  # noqa: S606 - there is no shell on purpose


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="On the console: the whole job by itself.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the simulated car.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the demo's folder to be looked at.")
    ] = False,
) -> int:
    """The main job on a simulated car: at the screen, or by itself on the console."""
    from appliance.demo import run_demo, show_demo  # noqa: PLC0415 - only this command needs it

    if headless:
        return run_demo(seed=seed, keep=keep)
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")):
        say("There is no screen here, so the demo runs on the console (fieldkit demo --headless).")
        return run_demo(seed=seed, keep=keep)
    return show_demo(seed=seed, keep=keep)
