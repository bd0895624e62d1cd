"""The command line: one subcommand a stage."""

import sys

from rich.console import Console

from padless.cli.app import app
from padless.errors import PadlessError


def main() -> None:
    """Run the command line; known failures become one message and an exit code."""
    try:
        app()
    except PadlessError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", markup=False)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"Error: {error}", markup=False)
        sys.exit(1)
