"""What was probably meant by a name that is none."""

import difflib
from collections.abc import Collection, Iterable

#: What other programs call an option, and what is to be typed here.
_ELSEWHERE = {
    "--iterations": ("steps", "num_steps", "iters", "iter", "num_iterations", "epochs"),
    "--device cuda": ("gpu", "cuda", "use_gpu"),
    "--device cpu": ("cpu", "no_gpu"),
    "--existing replace": ("overwrite", "force", "yes", "y", "replace", "clobber"),
    "--existing skip": ("no_clobber", "skip_existing"),
    "--color": ("colour", "colors", "colours"),
    "--color content": (
        *("original_colors", "original_colours", "keep_colors", "keep_colours"),
        *("preserve_color", "preserve_colors", "preserve_colour", "preserve_colours"),
    ),
    "--background": ("background_color", "background_colour"),
    "--output": ("output_dir", "out_dir", "outdir", "output_folder", "out", "output_path", "dest"),
    "--size": ("width", "height", "resolution", "image_size", "img_size", "max_size", "imsize"),
    "--effort or --jpeg-quality": ("quality",),
    "--effort": ("speed", "fast"),
    "--effort draft": ("draft", "quick", "preview"),
    "--effort best": ("best", "high_quality", "hq"),
    "--try": ("compare", "sweep", "variations"),
    "--learning-rate": ("lr",),
    "--content-weight": ("alpha",),
    "--style-weight": ("beta",),
    "--style-scale": ("stroke_size", "brush_size", "strokes"),
    "--blend": ("style_blend_weights", "mix"),
    "--tv-weight": ("smoothness", "tv"),
    "--jobs": ("workers", "processes", "parallel", "num_workers"),
    "--enlarge": ("upscale",),
    "--timelapse": ("video", "gif", "film", "movie", "animation"),
    "--snapshot-every": ("save_every", "save_iter", "snapshots"),
    "--checkpoint-every": ("checkpoint_iterations",),
    "--init": ("start", "init_image"),
    "--weights": ("model", "model_file", "vgg"),
    "--strength": ("intensity", "amount", "opacity"),
}
_GUESSES = {guess: meant for meant, names in _ELSEWHERE.items() for guess in names}
#: What is typed without an option.
_ARGUMENTS = {
    *("content", "style", "photo", "painting", "input", "i", "c"),
    *("content_image", "style_image", "content_img", "style_img", "content_path", "style_path"),
}


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that is spelled most like `name`; None if none is similar."""
    return next(iter(difflib.get_close_matches(name.lower(), sorted(names), 1)), None)


def is_option(name: str, names: Collection[str]) -> bool:
    """Whether a name is that of an option, here or in other programs; see `option_meant`."""
    return _plain(name) in {*names, *_GUESSES, *_ARGUMENTS}


def option_meant(name: str, names: Collection[str]) -> str | None:
    """What to type instead of an option that does not exist; None if nobody knows.

    Args:
        name: as it was typed, with or without dashes.
        names: of all options that could be meant, with underscores.
    """
    name = _plain(name)
    if name in _ARGUMENTS:
        return "stylize photo.jpg painting.jpg -o out.png"
    meant = _GUESSES.get(name)
    if meant and meant.split()[0].lstrip("-").replace("-", "_") in names:
        return meant
    similar = closest(name, names)
    return f"--{similar.replace('_', '-')}" if similar else None


def keyword_meant(name: str, names: Collection[str]) -> str | None:
    """What to write in Python instead of an argument that does not exist; None if nobody knows.

    Args:
        name: as it was written.
        names: of all arguments that could be meant.
    """
    if name in _ARGUMENTS or name in ("styles", "contents"):
        return 'stylize("photo.jpg", "painting.jpg")'
    option, _, value = _GUESSES.get(name, "").partition(" ")
    option = _plain(option)
    if option == "output" or name in ("output", "save"):
        return 'stylize(...).save("out.jpg")'
    if option in names:
        return f'{option}="{value}"' if value and " " not in value else option
    return closest(name, names)


def _plain(name: str) -> str:
    return name.lstrip("-").replace("-", "_").lower()
