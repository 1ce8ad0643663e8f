"""Under which heading `--help` lists each option, and in which order."""

from collections.abc import Iterable, Sequence

import click
import cloup

#: The options below each heading, by the names of their parameters.
GROUPS: dict[str, tuple[str, ...]] = {
    "Every day": (
        *("output", "size", "effort", "preset", "strength", "style_scale", "color", "blend"),
        *("trials", "help"),
    ),
    "Picture": ("enlarge", "dpi", "init", "seed"),
    "Style": ("style_weight", "content_weight", "tv_weight"),
    "Place": ("mask", "background"),
    "Method": (
        *("iterations", "scales", "content_layers", "style_layers", "objective", "network"),
        *("pooling", "optimizer", "learning_rate", "weights"),
    ),
    "Output": (
        *("existing", "format", "depth", "jpeg_quality", "keep_exif", "timelapse"),
        *("snapshot_every", "trace", "report"),
    ),
    "Many pictures": ("recursive", "pair", "pairs", "jobs", "cluster", "fail_fast", "json"),
    "Long runs": ("dry_run", "checkpoint", "checkpoint_every", "resume"),
    "Machine": ("device", "precision", "threads"),
    "Settings": ("recipe", "config", "print_config", "show_recipe", "list_layers"),
    "Messages": ("quiet", "verbose", "debug", "version"),
}


def in_groups(params: Iterable[click.Parameter]) -> Sequence[click.Parameter]:
    """Put parameters into the order in which `--help` lists them, each with its heading.

    cloup lists an option that has no heading here at the end.
    """
    left = {param.name: param for param in params}
    ordered = [left.pop(name) for name in list(left) if isinstance(left[name], click.Argument)]
    for heading, names in GROUPS.items():
        group = cloup.OptionGroup(heading)
        for name in names:
            param = left.pop(name)
            param.group = group  # type: ignore[attr-defined]  # where cloup looks for it
            ordered.append(param)
    return [*ordered, *left.values()]
