"""`python -m stylize`, the same as `stylize`."""

from .cli.startup import main

if __name__ == "__main__":
    main()
