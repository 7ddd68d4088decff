"""The repository's folders, and the rebuilding tests left out unless asked for."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests marked ``rebuild`` (they download packages) unless ``-m`` names the marker."""
    if "rebuild" in config.getoption("markexpr"):
        return
    for item in items:
        if item.get_closest_marker("rebuild"):
            item.add_marker(pytest.mark.skip(reason="opt-in: pytest -m rebuild"))


@pytest.fixture(scope="session")
def sources() -> Path:
    """The folder with one ``<source>/build.py`` for each source of tables."""
    return REPOSITORY / "data"


@pytest.fixture(scope="session")
def expected() -> Path:
    """Tables for the physics made independently; skips where the checkout has none beside it."""
    folder = REPOSITORY.parent / "shared" / "data" / "physics"
    if not folder.is_dir():
        pytest.skip("no shared tables beside the repository")
    return folder
