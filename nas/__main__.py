"""`python -m nas` is the command `nas`."""

from .cli import main

main()
