"""Entry point of `python -m nas`, which is the command `nas`."""

from .cli.commands import main

main()
