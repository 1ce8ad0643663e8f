"""What can be asked for: options, presets, configuration, recipes."""
