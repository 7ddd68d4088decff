"""A user's defaults of options, in a TOML file at the platform's place; ``starloom config`` shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

import typer

from starloom import places
from starloom.cli import console


@dataclass(frozen=True)
class Configuration:
    """Defaults of the options of these names, of every command that has such an option.

    ``cache`` and ``progress`` are of the program as a whole: whether what JAX compiles is kept, and whether
    bars are shown. Raises ConfigError for a number outside its range.
    """

    model: str = "default"
    workers: int = 1
    continuum: int = 1
    telluric: bool = False
    abundances: bool = False
    cache: bool = True
    progress: bool = True

    def __post_init__(self):
        from starloom.errors import ConfigError
        from starloom.recipes import at_least

        at_least(1, workers=self.workers)
        if not 0 <= self.continuum <= 20:
            raise ConfigError(f"continuum = {self.continuum} is outside [0, 20]")


def told() -> dict[str, Any]:
    """What the file says, checked: names and values. ConfigError or ParseError with path and key."""
    path = places.configuration_file()
    if path is None or not path.exists():
        return {}
    from starloom import recipes

    content = recipes.read_file(path)
    with recipes.naming(path):
        found = recipes.built(Configuration, content, "config")
    console.log.info(f"defaults from {path}: {', '.join(content) or 'none'}")
    return {name: getattr(found, name) for name in content}


def defaults(command: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as click takes defaults: those that a command has as options, by name of the command."""
    if hasattr(command, "commands"):
        return {name: defaults(each, values) for name, each in command.commands.items()}
    options = {parameter.name for parameter in command.params if parameter.param_type_name == "option"}
    return {name: value for name, value in values.items() if name in options}


def by_file(context: typer.Context, name: str) -> bool:
    """Whether a parameter of the command that runs has its value from the file, and not from its line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def config(as_json: console.Json = False) -> None:
    """Show the file of your defaults, and what is in force where an option is not given."""
    path, given = places.configuration_file(), told()
    values = asdict(Configuration()) | given
    if as_json:
        console.print_json({"path": path and str(path), "exists": bool(path and path.exists()), **values})
        return
    found = "none" if path is None else f"{path}" + ("" if path.exists() else " (does not exist)")
    print(f"file        {found}")
    for line in _lines(values, given):
        print(line)
    if given.get("model"):  # what is no model is told with the file that names it
        from starloom import recipes
        from starloom.networks import weights

        with recipes.naming(path):
            weights.load(weights.find(given["model"]))


def _lines(values: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    for each in fields(Configuration):
        value = values[each.name]
        spelled = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
        yield f"{each.name:<12}{spelled:<12} {'file' if each.name in given else 'built in'}"


Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="Say more on standard error; -vv: most."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No bars and warnings; errors are said.")]
