"""`python -m nas` is the command `nas`."""

from .cli.commands import main

main()
