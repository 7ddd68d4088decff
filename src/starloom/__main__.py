"""``python -m starloom``."""

from starloom.cli import main

main()
