"""``python -m starloom``, and the command ``starloom``."""

from starloom import interruption


def main() -> None:
    """Run the command line, from its imports on."""
    with interruption.heeded():
        from starloom import cli

        cli.main()


if __name__ == "__main__":
    main()
