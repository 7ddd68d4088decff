"""A report of text, tables and figures, written as Markdown and as one HTML file that holds its figures."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from starloom.errors import ConfigError
from starloom.files import replacing

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th{border-bottom:2px solid #555}th:first-child,td:first-child{text-align:left}img{max-width:100%}
figure{margin:1.5rem 0}figcaption{color:#555;font-size:.9rem}"""


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows of text, all of one length."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.header):
                raise ConfigError(
                    f"table {self.caption!r}: row of {len(row)} cells under {len(self.header)} heads"
                )


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows.

    ``caption``: a sentence below it.
    """

    path: Path
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and what is under it: paragraphs of text, tables and pictures, in order.

    ``content``: text, ``Table`` and ``Picture``.
    """

    heading: str
    content: Sequence[str | Table | Picture]


def write_report(folder: str | os.PathLike, title: str, sections: Sequence[Section]) -> tuple[Path, Path]:
    """Write ``report.md`` (pictures by relative path) and ``report.html`` (pictures inside); their paths.

    ``title`` is its heading, ``sections`` what is in it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.md": markdown(title, sections, folder), "report.html": html(title, sections)}
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder / "report.md", folder / "report.html"


def markdown(title: str, sections: Sequence[Section], folder: Path) -> str:
    """The report as Markdown; pictures are linked relative to ``folder``.

    ``title`` is its heading, ``sections`` what is in it.
    """
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.heading}")
        parts += [_markdown(item, folder) for item in section.content]
    return "\n\n".join(parts) + "\n"


def html(title: str, sections: Sequence[Section]) -> str:
    """The report as one HTML page.

    ``title`` is its heading, ``sections`` what is in it.
    """
    parts = []
    for section in sections:
        parts.append(f"<h2>{escape(section.heading)}</h2>")
        parts += [_html(item) for item in section.content]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    page = f"<head>{head}</head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body>"
    return f'<!doctype html>\n<html lang="en">{page}</html>\n'


def _markdown(item: str | Table | Picture, folder: Path) -> str:
    if isinstance(item, Table):
        lines = [item.header, ["---", *["---:"] * (len(item.header) - 1)], *item.rows]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
        return f"{item.caption}\n\n{text}"
    if isinstance(item, Picture):
        return f"![{item.caption}]({Path(os.path.relpath(item.path, folder)).as_posix()})"
    return item


def _html(item: str | Table | Picture) -> str:
    if isinstance(item, Table):
        head = "".join(f"<th>{escape(cell)}</th>" for cell in item.header)
        rows = "\n".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in item.rows
        )
        return f"<p>{escape(item.caption)}</p>\n<table><tr>{head}</tr>\n{rows}</table>"
    if isinstance(item, Picture):
        data = base64.b64encode(Path(item.path).read_bytes()).decode()
        caption = escape(item.caption)
        image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
    return f"<p>{escape(item)}</p>"
