"""`python -m stablefit` is the command `stablefit`."""

from stablefit import cli

if __name__ == "__main__":
    cli.entry()
