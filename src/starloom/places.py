"""Where a user's files of this program are: what it keeps for later, and what it is told for every run."""

import os
from pathlib import Path

CONFIGURATION = "STARLOOM_CONFIG"  # environment: another file; empty: none


def cache_folder() -> Path:
    """The folder for what can be made or fetched again: ``$XDG_CACHE_HOME/starloom``, else below the home.

    On Windows below ``%LOCALAPPDATA%``. RuntimeError for a user without a home.
    """
    return _below("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")


def configuration_file() -> Path | None:
    """The file of a user's defaults, whether it exists or not: ``$XDG_CONFIG_HOME/starloom/config.toml``.

    On Windows below ``%APPDATA%``. The environment's STARLOOM_CONFIG names another one; None where it is
    empty, or for a user without a home.
    """
    if (told := os.environ.get(CONFIGURATION)) is not None:
        return Path(told) if told else None
    try:
        return _below("XDG_CONFIG_HOME", "APPDATA", ".config") / "config.toml"
    except RuntimeError:
        return None


def _below(variable: str, on_windows: str, usual: str) -> Path:
    told = os.environ.get(variable) or (os.environ.get(on_windows) if os.name == "nt" else None)
    return Path(told or Path.home() / usual) / "starloom"
