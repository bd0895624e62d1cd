"""`padless`, and `python -m padless`, which torchrun and others start."""

import os
import sys  # both are loaded before any folder is looked in


def main() -> None:
    """Run the command line. A Ctrl-C while packages load ends it as one later does."""
    try:
        from padless.cli import main as run  # here: it takes long enough to be stopped in

        run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


def leave_current_folder(spec: object) -> None:
    """`python -m` puts the current folder before all packages: a file there would stand in for one that padless needs."""
    if spec is not None and not sys.flags.safe_path and os.path.realpath(sys.path[0]) == os.getcwd():
        del sys.path[0]


if __name__ == "__main__":
    leave_current_folder(__spec__)
    main()
