import base64
from html.parser import HTMLParser

import pytest

from starloom.errors import ConfigError
from starloom.evaluation.report import Picture, Section, Table, write_report

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells, self.images, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_report_in_both_forms(tmp_path):
    (tmp_path / "figures").mkdir()
    picture = tmp_path / "figures" / "one.png"
    picture.write_bytes(PIXEL)
    table = Table("Errors < 1 %", ["Label", "Test"], [["teff [K]", "120"], ["a|b", "<3>"]])
    sections = [Section("Results & more", ["Some text.", table, Picture(picture, "A figure")])]
    text_path, page_path = write_report(tmp_path / "out", "Reproduction", sections)

    text = text_path.read_text()
    assert text.startswith("# Reproduction\n\n## Results & more\n\nSome text.\n")
    assert "| Label | Test |\n| --- | ---: |\n| teff [K] | 120 |\n| a\\|b | <3> |" in text
    assert "![A figure](../figures/one.png)" in text

    reader = Reader()
    page = page_path.read_text()
    reader.feed(page)
    assert reader.open == []
    assert reader.cells == ["Label", "Test", "teff [K]", "120", "a|b", "<3>"]
    assert base64.b64decode(reader.images[0].split(",")[1]) == PIXEL
    assert "<h2>Results &amp; more</h2>" in page


def test_uneven_table_is_refused():
    with pytest.raises(ConfigError, match="table 'Errors': row of 1 cells under 2 heads"):
        Table("Errors", ["a", "b"], [["1"]])
