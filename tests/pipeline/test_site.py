"""The site: each page is found from the landing page, links lead somewhere, tutorials do what they say.

``make docs`` builds it and runs all tutorials; here the quick ones are run, the others compiled.
"""

import re
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "data").rglob("README.md")),
    *sorted(ROOT.glob("C*.md")),
]
QUICK = ("first_spectrum", "abundances")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def listed(page: Path) -> set[Path]:
    """Pages in the tables of contents of a page."""
    found: set[Path] = set()
    for block in re.findall(r"^:::\{toctree\}\n(.*?)^:::$", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in filter(None, (line.strip() for line in block.splitlines())):
            if line.startswith(":"):
                continue
            name = re.sub(r"^.*<(.*)>$", r"\1", line)
            folder, name = (ROOT, name[1:]) if name.startswith("/") else (page.parent, name)
            matches = set(folder.glob(f"{name}.md"))
            assert matches, f"{page.name}: {line} is no page"
            found |= matches
    return found


def test_every_page_is_in_the_table_of_contents():
    found, new = set(), {DOCS / "index.md"}
    while new:
        found |= new
        new = set().union(*map(listed, new)) - found
    assert set(PAGES) - found == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Relative ones, so that they hold in the repository and in the site."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    places = [(page, link) if link.startswith("#") else (page.parent / link, link) for link in links]
    for path, link in places:
        path = Path(str(path).partition("#")[0])
        assert path.is_file(), link
        if anchor := link.partition("#")[2]:
            heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, link


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page, tmp_path, monkeypatch):
    """Its cells, and the commands in it, in an empty folder."""
    cells = CELL.findall(page.read_text())
    assert len(cells) > 3
    assert "format_name: myst" in page.read_text()
    compiled = [compile(cell, f"{page.name}, cell {number}", "exec") for number, cell in enumerate(cells, 1)]
    if page.stem not in QUICK:
        return
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    try:
        for cell in compiled:
            exec(cell, space)
    finally:
        pyplot.close("all")
    documents = run_path(str(Path(__file__).with_name("test_documents.py")))
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in documents["commands"](block):
            documents["run"](line, {})


def test_the_landing_page_loads_no_explorer():
    """Before it is asked for: the page names it in links alone."""
    text = (DOCS / "index.md").read_text()
    assert "<iframe" not in text
    assert 'data-explorer="explorer/index.html"' in text
    assert re.findall(r'src="([^"]*)"', text) == ["spectrum.svg"]


def test_pages_ask_no_other_server():
    """Neither styles nor scripts of the site's own name one."""
    for path in (DOCS / "static").iterdir():
        assert "http" not in path.read_text().replace("http.server", "")
    conf = (DOCS / "conf.py").read_text()
    assert "http://" not in conf
    assert "https://" not in conf
    assert "intersphinx" not in conf
