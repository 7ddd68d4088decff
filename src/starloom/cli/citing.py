"""``starloom cite``: what to cite, as BibTeX."""

from pathlib import Path
from typing import Annotated

import typer


def cite(
    file: Annotated[
        Path | None,
        typer.Argument(help="Spectra, a table of fits, a store or a model; without one all that there is."),
    ] = None,
) -> None:
    """Print BibTeX of this program, its method, and the data behind a file, as its provenance tells."""
    from starloom import citation

    print(citation.bibtex(citation.cited(file)))
