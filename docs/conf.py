"""How the site is made: ``make docs``, or ``sphinx-build -c docs . build/site``; nothing is fetched.

Its pages are the Markdown files of the repository where they lie, so that their links lead to the same places
here and where the repository is browsed. Tutorials are run, and what is shown of them is what they gave.
"""

import hashlib
import logging
import shutil
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import starloom

project = "starloom"
author = "The starloom developers"
copyright = author
release = version = starloom.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton"]
include_patterns = [
    "docs/**",
    "data/README.md",
    "data/*/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
]
exclude_patterns = ["build", ".venv", "**/.ipynb_checkpoints"]
root_doc = "docs/index"

# Markdown as code forges read it, and directives between colons
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
logging.getLogger("traitlets").setLevel(logging.WARNING)  # not a line for each kernel that starts

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False

html_theme = "furo"
html_title = f"starloom {release}"
html_static_path = ["static"]
html_favicon = "../src/starloom/explorer/page/icon.svg"
html_css_files = ["site.css"]
html_js_files = [("explorer.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"
copybutton_exclude = ".linenos, .gp, .go"

SUN = {"teff": 5772, "logg": 4.44, "vsini": 2, "mh": 0.0, "vmic": 1.0, "resolution": 11500}


def setup(app: Sphinx) -> None:
    app.add_lexer("csv", TextLexer)
    app.add_html_math_renderer("mathml", (formula, None), (displayed_formula, None))
    app.connect("source-read", filled_in)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-process-docstring", without_aliases)
    app.connect("build-finished", landing_page)


def readable(app, what, name, thing, options, arguments, returned):
    """A signature that Sphinx can take apart: ``<factory>`` is no Python; and JAX's arrays by their name."""
    parts = (arguments or "").replace("<factory>", "..."), returned or ""
    return tuple(part.replace("jaxlib._jax.Array", "Array") or None for part in parts)


def without_aliases(app, what, name, thing, options, lines):
    """Leave out what Python says of every field of a tuple."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def formula(translator, node: nodes.math) -> None:
    """A formula as MathML, which browsers draw themselves; MathJax would have to be fetched."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed_formula(translator, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def filled_in(_: Sphinx, page: str, source: list[str]) -> None:
    """Put what the package says of itself in place of ``<!-- commands -->`` and ``<!-- models -->``."""
    for name, make in (("commands", commands), ("models", models)):
        if (place := f"<!-- {name} -->") in source[0]:
            source[0] = source[0].replace(place, make())


def commands() -> str:
    """What the commands say of themselves."""
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from starloom.cli import app

    command = get_command(app)
    context = command.make_context("starloom", [], resilient_parsing=True)
    text = get_docs_for_click(obj=command, ctx=context, name="starloom")
    return "\n## " + text.partition("\n## ")[2]


def models() -> str:
    """The installed models and their files."""
    from starloom.networks import weights

    rows = ["| model | written by | labels | MB | SHA-256 of the file |", "|---|---|---|---|---|"]
    for name in weights.names():
        path = weights.find(name)
        header, content = weights.load(path).header, path.read_bytes()
        labels, size = ", ".join(header.names), len(content) / 1e6
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"| `{name}` | {header.version} | {labels} | {size:.1f} | `{digest[:16]}...` |")
    return "\n".join(rows)


def landing_page(app: Sphinx, failed: Exception | None) -> None:
    """The landing page's picture, by the packaged model, its explorer, and the way to it from the root."""
    if failed or app.builder.format != "html":
        return
    from starloom.explorer import site

    folder = Path(app.outdir, "docs")
    draw(folder / "spectrum.svg", (9, 3))
    draw(folder / "spectrum-phone.svg", (4.5, 3))
    shutil.rmtree(folder / "explorer", ignore_errors=True)
    site.export(folder / "explorer")
    Path(app.outdir, "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>{html_title}</title>\n'
        '<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">starloom</a>\n'
    )


def draw(path: Path, size: tuple[float, float]) -> None:
    """The Sun and a hot star, in colours that are read on light and dark paper."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MultipleLocator

    hot = SUN | {"teff": 9500, "logg": 4.0, "vsini": 60, "vmic": 2.0}
    figure = Figure(figsize=size, layout="constrained")
    axes, grey = figure.subplots(), "#808080"
    for name, labels, colour in (("G2, 5772 K", SUN, "#0072b2"), ("A0, 9500 K, 60 km/s", hot, "#d55e00")):
        star = starloom.generate(**labels)
        axes.plot(star.wavelength, star.flux, color=colour, linewidth=0.9, label=name)
    axes.set(xlim=(8400, 8800), ylim=(0, 1.08), ylabel="flux / continuum")
    axes.set_xlabel("wavelength in air [Å]")
    axes.xaxis.set_major_locator(MultipleLocator(100 if size[0] < 6 else 50))
    axes.legend(frameon=False, loc="lower right", labelcolor="linecolor")
    axes.tick_params(colors=grey)
    axes.xaxis.label.set_color(grey)
    axes.yaxis.label.set_color(grey)
    for spine in axes.spines.values():
        spine.set_edgecolor(grey)
    figure.savefig(path, transparent=True, metadata={"Date": None})
