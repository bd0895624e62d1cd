"""`python -m padless`: what torchrun and others start."""

from padless.cli import main

if __name__ == "__main__":
    main()
