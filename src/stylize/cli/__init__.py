"""The command `stylize`."""
