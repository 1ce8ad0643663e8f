"""What a user can set: options, presets, configuration files and recipes."""
