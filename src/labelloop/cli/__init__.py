"""The command line. Each command's module is imported when the command is run."""

from labelloop.cli.main import main

__all__ = ["main"]
