"""``starloom physics-error``: what a model's fits count as errors of its line list and continuum."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import console

app = typer.Typer(no_args_is_help=True, help="Make the physics error of a band, and attach it to models.")

Target = Annotated[Path, typer.Option("--output", "-o", help="Weights file to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


@app.command()
def make(
    output: Target,
    band: Annotated[str, typer.Option(help="Name of a wavelength band with its line list.")] = "rvs",
    lines: Annotated[str, typer.Option(help="listed or calibrated.")] = "listed",
    resolution: Annotated[
        float | None, typer.Option(help="Finest of the models; by default the band's.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Synthesise how the flux of a band answers to its lines, and write the patterns (minutes)."""
    from dataclasses import replace

    from starloom import bands
    from starloom.cli.targets import check_targets
    from starloom.evaluation import line_errors
    from starloom.networks import physics_error, weights

    check_targets([(output, _weights)], overwrite)
    opened = bands.load(band, lines)
    opened = replace(opened, finest_resolution=resolution or opened.finest_resolution)
    nodes = line_errors.node_stars(line_errors.NODES)
    with console.bar(len(nodes), "stars") as bar:
        made = line_errors.physics_error(opened, progress=bar.update)
    weights.save(output, physics_error.packed(made), "float16")
    size = output.stat().st_size / 1e6
    print(f"{output}: {made.patterns.shape[3]} patterns at {len(nodes)} nodes, {size:.2f} MB")


@app.command()
def attach(
    patterns: Annotated[Path, typer.Argument(help="File of `make`.")],
    model: Annotated[str, typer.Argument(help="Name of a packaged model, or a weights file.")],
    output: Target,
    lines: Annotated[float | None, typer.Option(help="Error of a line's log gf [dex].")] = None,
    calcium: Annotated[float | None, typer.Option(help="Of the Ca II triplet's [dex].")] = None,
    continuum: Annotated[float | None, typer.Option(help="Of each coefficient of the continuum.")] = None,
    floor: Annotated[float | None, typer.Option(help="Of each pixel, in units of the continuum.")] = None,
    precision: Annotated[str, typer.Option(help="Of the file: float16 or float32.")] = "float32",
    overwrite: Overwrite = False,
) -> None:
    """Write a model with the physics error in it; sizes that are not given are those of docs/fitting.md."""
    from dataclasses import replace

    from starloom.cli.targets import check_targets
    from starloom.errors import ConfigError
    from starloom.networks import physics_error, weights

    check_targets([(output, _weights)], overwrite, [patterns])
    found = physics_error.physics_in(weights.load(patterns, physics_error.FAMILY))
    if found is None:
        raise ConfigError(f"{patterns}: no patterns are in it")
    given = {"lines": lines, "calcium": calcium, "continuum": continuum, "floor": floor}
    sizes = replace(found.sizes, **{name: size for name, size in given.items() if size is not None})
    whole = physics_error.attached(weights.load(weights.find(model)), found.with_sizes(sizes))
    weights.save(output, whole, precision)
    told = ", ".join(f"{name} {getattr(sizes, name):g}" for name in given)
    print(f"{output}: {model} with the physics error of {patterns} ({told})")


def _weights(path: Path) -> None:
    """The check of a weights file's place."""
    from starloom.files import check_target

    check_target(path, (".safetensors",))
