"""The command ``starloom``: one module per group of commands, each a thin reader of the layers below.

A module here imports what its commands need inside them, so that ``starloom --version`` answers at once.
"""

import sys
from typing import Annotated

import typer
import typer.core

from starloom import __version__, compilation, extras, interruption
from starloom.cli import (
    citing,
    configuration,
    console,
    database,
    demo,
    domain,
    example,
    explorer,
    fitting,
    forecast,
    generation,
    installation,
    physics_error,
    reproduction,
    synthesis,
    training,
)
from starloom.errors import StarloomError

EVERYWHERE = ("-v", "-vv", "--verbose", "-q", "--quiet")  # of these no command has its own


class EverywhereGroup(typer.core.TyperGroup):
    """The commands; -v and -q may stand behind a command as well as before it."""

    def parse_args(self, ctx, args):
        """Read the words, those of EVERYWHERE first."""
        end = args.index("--") if "--" in args else len(args)
        moved = [word for word in args[:end] if word in EVERYWHERE]
        return super().parse_args(ctx, [*moved, *(w for w in args[:end] if w not in EVERYWHERE), *args[end:]])


app = typer.Typer(
    name="starloom",
    cls=EverywhereGroup,
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
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: configuration.Verbose = 0,
    quiet: configuration.Quiet = False,
    cache: Annotated[
        bool | None,
        typer.Option(help="Keep what JAX compiles in the user's cache folder for the next start, or not."),
    ] = None,
) -> None:
    """Stellar spectra from stellar labels, in the range of the Gaia RVS (8400-8800 A)."""
    console.speak(verbose, quiet)
    told = configuration.told()
    console.speak(verbose, quiet, told.get("progress", True))
    context.default_map = configuration.defaults(context.command, told)
    keeping = told.get("cache", True) if cache is None else cache
    (compilation.keep if keeping else compilation.forget)()


app.command("labels")(domain.labels)
app.command("cite")(citing.cite)
app.command("config")(configuration.config)
app.command("info")(installation.info)
app.command("synthesize")(synthesis.synthesize)
app.command("demo")(demo.demo)
app.command("example")(example.example)
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
    console.survive_any_encoding()
    try:
        _run()
    except BrokenPipeError:  # whoever reads has seen enough, as `| head`
        console.abandon()
        sys.exit(1)
    except StarloomError as error:
        console.log.debug("where it was raised:", exc_info=error)
        sys.exit(_refuse(error.in_command))
    except ImportError as error:
        if not (line := extras.told(error)):
            raise
        sys.exit(_refuse(line))
    except OSError as error:
        if error.errno is None:  # nothing a user did
            raise
        place = error.filename or console.fault()
        sys.exit(_refuse(f"{place}: {error.strerror}" if place else error.strerror))


def _run() -> None:
    try:
        app()
    except SystemExit:
        console.flush()  # a full disk can be told here, but not when Python ends
        raise


def _refuse(reason: str) -> int:
    if sys.stderr is not None:  # else print would take standard output
        print(f"starloom: {reason}", file=sys.stderr)
    return 2
