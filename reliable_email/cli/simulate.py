"""`reliable-email simulate`: how our routing, and that of others, does in lives of providers."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reliable_email.cli.faults import failure, print_faults
from shared.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from reliable_email.simulate.life import Life
    from reliable_email.simulate.play import Job, Played

_FIRST_SEED: Final = 100


def simulate(  # noqa: PLR0913 - each is an option of the command
    lives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LIFE]...", help="Files of lives, or names of those that come with the service; else all."
        ),
    ] = None,
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How often each life is played, each time by other chances.")] = 3,
    first_seed: Annotated[int, typer.Option(help="The first seed; the others follow it.")] = _FIRST_SEED,
    policies: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Policies to compare, separated by commas; else all.")
    ] = None,
    stretch: Annotated[
        float, typer.Option(min=0.1, max=10, help="Multiply every time and rate of the lives by this.")
    ] = 1.0,
    processes: Annotated[int, typer.Option(min=0, help="Processes at work; 0: one for each processor.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw who got which share when, by the first seed.")
    ] = None,
) -> None:
    """Play lives of providers with the decisions of the sender, and with those of others.

    Needs no running service. The same life, seed and policy give the same result to the last attempt.
    """
    from reliable_email.simulate import table  # noqa: PLC0415 - not for `--help`
    from reliable_email.simulate.play import jobs  # noqa: PLC0415 - not for `--help`
    from reliable_email.simulate.policies import YARDSTICK  # noqa: PLC0415 - not for `--help`

    chosen = [life if stretch == 1.0 else life.stretched(stretch) for life in _read(lives or _own_lives())]
    names = _policies(policies)
    played_policies = names if YARDSTICK in names else [*names, YARDSTICK]
    work = jobs(chosen, range(first_seed, first_seed + seeds), played_policies, picture=picture is not None)
    played = _play(work, processes or os.cpu_count() or 1)
    results = table.Results(chosen, names, played)
    if as_json:
        typer.echo(json.dumps(table.as_json(results), indent=2))
    else:
        for life in chosen:
            typer.echo("\n".join(table.life_table(results, life)) + "\n")
        if len(chosen) > 1:
            typer.echo("### All lives\n\n" + "\n".join(table.summary_table(results)))
    if picture is not None:
        _draw(picture, chosen, names, played)


def _policies(wanted: str | None) -> list[str]:
    from reliable_email.simulate.policies import POLICIES  # noqa: PLC0415 - not for `--help`

    if wanted is None:
        return list(POLICIES)
    names = [name.strip() for name in wanted.split(",")]
    if unknown := [name for name in names if name not in POLICIES]:
        raise failure(f"there is no policy {unknown[0]!r}; there are: {', '.join(POLICIES)}", 2)
    return names


def _own_lives() -> list[str]:
    folder = resources.files("reliable_email.simulate") / "lives"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _read(names: Sequence[str]) -> list[Life]:
    """Read all lives, or end with every fault of every file."""
    from reliable_email.simulate.life_file import parse_life  # noqa: PLC0415 - not for `--help`

    lives: list[Life] = []
    is_faulty = False
    for name in names:
        try:
            lives.append(parse_life(_text(name), name))
        except ConfigurationError as error:
            print_faults(error)
            is_faulty = True
    if is_faulty:
        raise typer.Exit(2)
    if len({life.name for life in lives}) < len(lives):
        raise failure("two lives have the same name: give each its own", 2)
    return lives


def _text(name: str) -> str:
    own = resources.files("reliable_email.simulate") / "lives" / f"{name}.toml"
    try:
        return own.read_text("utf-8") if own.is_file() else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise failure(f"{name}: cannot be read ({error}); own lives are {', '.join(_own_lives())}", 2) from error


def _play(work: Sequence[Job], processes: int) -> list[Played]:
    from reliable_email.simulate.play import play  # noqa: PLC0415 - not for `--help`

    if processes == 1 or len(work) == 1:
        return _with_progress(map(play, work), len(work))
    with ProcessPoolExecutor(min(processes, len(work)), multiprocessing.get_context("spawn")) as pool:
        return _with_progress(pool.map(play, work), len(work))


def _with_progress(played: Iterable[Played], count: int) -> list[Played]:
    """Return all that is played; a terminal sees how far it is."""
    with typer.progressbar(played, length=count, label="playing", file=sys.stderr) as bar:
        return list(bar)


def _draw(file: Path, lives: Sequence[Life], policies: Sequence[str], played: Sequence[Played]) -> None:
    from reliable_email.simulate import picture  # noqa: PLC0415 - not for `--help`

    steps = {one.life: one.steps for one in played if one.steps}
    drawing = picture.draw([(life, {name: steps[life.name][name] for name in policies}) for life in lives])
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise failure(f"{file} cannot be written: {error.strerror}") from error
