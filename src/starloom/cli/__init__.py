"""The command ``starloom``: one module per group of commands, each a thin reader of the layers below.

A module here imports what its commands need inside them, so that ``starloom --version`` answers at once.
"""

import sys
from typing import Annotated

import typer

from starloom import __version__, compilation, extras, interruption
from starloom.cli import (
    database,
    demo,
    domain,
    explorer,
    fitting,
    forecast,
    generation,
    installation,
    output,
    physics_error,
    reproduction,
    synthesis,
    training,
)
from starloom.errors import StarloomError

app = typer.Typer(
    name="starloom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # the default would take [km/s] for a tag
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"starloom {__version__}")
        raise typer.Exit


@app.callback()
def starloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    cache: Annotated[
        bool, typer.Option(help="Keep what JAX compiles in the user's cache folder for the next start.")
    ] = True,
) -> None:
    """Stellar spectra from stellar labels, in the range of the Gaia RVS (8400-8800 A)."""
    (compilation.keep if cache else compilation.forget)()


app.command("labels")(domain.labels)
app.command("info")(installation.info)
app.command("synthesize")(synthesis.synthesize)
app.command("demo")(demo.demo)
app.command("generate")(generation.generate)
app.command("fit")(fitting.fit)
app.command("forecast")(forecast.forecast)
app.command("models")(generation.models)
app.command("evaluate")(generation.evaluate)
app.command("explore")(explorer.explore)
app.add_typer(database.app, name="database")
app.add_typer(training.app, name="train")
app.add_typer(physics_error.app, name="physics-error")
app.command("reproduce")(reproduction.reproduce)


@interruption.heeded()
def main() -> None:
    """Run the command line; our errors, the file system's, an absent extra: one line and exit code 2."""
    output.survive_any_encoding()
    try:
        _run()
    except BrokenPipeError:  # whoever reads has seen enough, as `| head`
        output.abandon()
        sys.exit(1)
    except StarloomError as error:
        sys.exit(_refuse(error.in_command))
    except ImportError as error:
        if not (line := extras.told(error)):
            raise
        sys.exit(_refuse(line))
    except OSError as error:
        if error.errno is None:  # nothing a user did
            raise
        place = error.filename or output.fault()
        sys.exit(_refuse(f"{place}: {error.strerror}" if place else error.strerror))


def _run() -> None:
    try:
        app()
    except SystemExit:
        output.flush()  # a full disk can be told here, but not when Python ends
        raise


def _refuse(reason: str) -> int:
    print(f"starloom: {reason}", file=sys.stderr)
    return 2
