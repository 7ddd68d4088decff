"""What the documents at the root say is so."""

import re
from pathlib import Path

import pytest
import yaml

import starloom

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_links_lead_somewhere(readme):
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == starloom.__version__
    assert citation["license"] == "BSD-3-Clause"
    assert {"cff-version", "message", "title", "authors", "type"} <= citation.keys()
