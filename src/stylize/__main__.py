"""`python -m stylize`, the same as `stylize`."""

from .cli.main import command

if __name__ == "__main__":
    command(prog_name="stylize")
