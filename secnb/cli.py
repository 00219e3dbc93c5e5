"""``secnb …``: a thin face over the same functions, for the terminal."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import pandas as pd
import typer

from secnb import __version__
from secnb.deployment import Deployment, connect
from secnb.errors import SecnbError
from secnb.lab.running import run_lab
from secnb.sample import Generation, Sandbox
from secnb.sample import sandbox as start_sandbox
from secnb.settings_file import SettingSources, find_env_file
from secnb.settings_file.sources import RUNTIME_ENV_PATH

Opened = TypeVar("Opened", bound=Deployment)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables would show URLs and their passwords.
    pretty_exceptions_enable=False,
    help="See what a home-security AI deployment is doing, and tune it, from a notebook.",
)

EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="The .env file; looked for upward from here by default.")
]


def _version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See what a home-security AI deployment is doing, and tune it, from a notebook."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="The folder of notebooks to open.")] = Path("notebooks"),
) -> None:
    """Open JupyterLab over the deployment in the environment or, without one, over a sandbox.

    Whatever else is given goes to JupyterLab, such as --no-browser or --port=8899.
    """
    if find_spec("jupyterlab") is None:
        _fail("secnb lab needs jupyterlab, which is not installed.\n\nHint: pip install 'secnb[lab]'")
    if not folder.is_dir():
        _fail(
            f"There is no folder {folder.absolute()}.\n\n"
            "Hint: run this where the notebooks are, or pass --folder."
        )
    environment = dict(os.environ)
    sources = SettingSources(find_env_file(Path.cwd()))
    try:
        named = [sources.lookup(name) for name in ("database_url", "redis_url")]
    except SecnbError as exc:
        _fail(str(exc))
    # An empty variable, as compose files have them, names nothing.
    if any(found[0] for found in named if found is not None):
        typer.echo("JupyterLab over the deployment that the environment describes.")
        raise typer.Exit(run_lab(folder, environment, context.args))
    with _guarded(start_sandbox) as sample:
        typer.echo("No deployment in the environment: JupyterLab over a sandbox with synthetic data.")
        environment |= _variables(sample)
        raise typer.Exit(run_lab(folder, environment, context.args))


@app.command()
def sandbox(
    seed: Annotated[int, typer.Option(help="The same seed gives the same history.")] = 0,
    generation: Annotated[Generation, typer.Option(help="Whose tables and queues it has.")] = "sqlite",
) -> None:
    """Serve a sandbox with synthetic sample data, print its URLs, and end with Ctrl-C."""
    with _guarded(lambda: start_sandbox(seed=seed, generation=generation)) as sample:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        typer.echo("\n".join(f"{name}={value}" for name, value in _variables(sample).items()))
        typer.echo("Synthetic sample data. Ctrl-C ends it.", err=True)
        stopped.wait()


@app.command()
def doctor(env_file: EnvFile = None) -> None:
    """Show whether each part of the deployment answers, and which settings are in force."""
    with _guarded(lambda: connect(env_file)) as site:
        health, settings = site.health(), site.settings()
    with pd.option_context("display.max_colwidth", 70, "display.width", 200):
        typer.echo(health.to_string(index=False, na_rep="-", float_format="{:.1f}".format))
        typer.echo("")
        shown = settings[["setting", "value", "range", "source", "is_in_force", "why"]]
        typer.echo(shown.to_string(index=False, na_rep="-"))
    raise typer.Exit(0 if (health["status"][:2] == "up").all() and settings_hold(settings) else 1)


def settings_hold(settings: pd.DataFrame) -> bool:
    """Return whether every setting that some source names is in force."""
    named = settings["source"] != "default"
    return bool(settings.loc[named, "is_in_force"].all())


def _variables(sample: Sandbox) -> dict[str, str]:
    """Return what a process needs to connect to a sandbox, and to see its settings, no neighbour's."""
    return {
        "DATABASE_URL": sample.database_url,
        "REDIS_URL": sample.redis_url,
        "HSI_RUNTIME_ENV_PATH": str(sample.folder / RUNTIME_ENV_PATH),
    }


def _guarded(start: Callable[[], Opened]) -> Opened:
    """Return what `start` opens, or end with its message instead of a traceback."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            opened = start()
    except SecnbError as exc:
        _fail(str(exc))
    for warning in caught:
        typer.echo(str(warning.message), err=True)
    return opened


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
