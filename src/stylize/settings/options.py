"""`Options`: the one place that defines every default, range and help text.

The command line, the Python API, the manual's table and the tests all read it.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import OptionError, shown
from ..network.names import WEIGHTS, split_weights
from . import checks, printing
from .checks import INVERTED
from .presets import PRESETS

#: Longer side of the result under `--size auto`, in pixels, unless the content image is smaller.
AUTO_SIZE = 512
#: The longer side of a result, in pixels, has at least and at most so many.
SMALLEST_SIDE, LARGEST_SIDE = 16, 65536
#: The suffixes of each output format. `images.encode.ENCODERS` has an encoder for each format.
FORMATS: dict[str, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "avif": (".avif",),
}
#: The same by Pillow's names.
WRITABLE = tuple(format.upper() for format in FORMATS)
#: The formats of pictures that are read, by Pillow's names, the common ones first. Pillow looks at
#: a file's content and not at its name, and starts another program, Ghostscript, for EPS.
READABLE = (
    *("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP", "JPEG2000", "PPM"),
    "TGA",  # the last, because it has no signature
)

#: The largest weight. Only the ratio of the weights matters, and up to this limit the product of a
#: weight and a loss is a finite number.
HEAVIEST = 1e30
#: Approximate longer side, in pixels, of the coarsest scale under `--scales auto`. At this size
#: each position of relu5_1 sees most of the picture, so that the large forms of the style image
#: are placed well.
COARSEST = 128
#: The largest number of scales.
MOST_SCALES = 16
#: Iterations at the coarsest scale, by `--effort`.
EFFORTS = {"draft": 50, "normal": 120, "best": 500}
#: Each finer scale has this many times the iterations of the one before, but never less than
#: `LEAST_SHARE` of those at the coarsest.
DECLINE, LEAST_SHARE = 0.6, 0.25
#: The words that `--init` takes instead of a path.
STARTS = ("faint", "noise", "content", "style")
#: Options whose value is one of these words or a path.
WORDS: dict[str, tuple[str, ...]] = {"init": STARTS, "enlarge": ("none",), "weights": WEIGHTS}


def _option(
    default: Any,
    check: checks.Check,
    help: str,
    *,
    metavar: str = "",
    short: str = "",
    shown: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """Make a dataclass field that carries the option's check and documentation.

    Args:
        default: the default, in the option's own type.
        check: checks a value that was given, and converts it to the option's own type.
        help: text for `--help` and the manual.
        metavar: placeholder for the value in `--help`.
        short: the short form of the flag, as in "-s"; "" for none.
        shown: how `--help` words the default, where the value alone is not clear.
        choices: the possible values, where there are only a few.
    """
    return field(
        default=default,
        metadata=dict(
            check=check, help=help, metavar=metavar, short=short, shown=shown, choices=choices
        ),
    )


def _choice_option(default: str, choices: tuple[str, ...], help: str) -> Any:
    """Make a field whose value is one of a few words."""
    return _option(default, checks.choice(*choices), help, choices=choices)


@dataclass(frozen=True, kw_only=True, repr=False)
class Options:
    """How to paint, and how to write the result; `stylize --help` explains every option.

    Values may also be given as texts, as a user types them:
    `Options(size="300") == Options(size=300)`.

    Raises:
        OptionError: a value is not valid, or two options contradict each other; the message names
            the option.
    """

    size: int | str = _option(
        "auto",
        checks.size(SMALLEST_SIDE, LARGEST_SIDE, "auto", "original", "fit"),
        "Longer side of the result: in pixels; 4k or 8k; as a multiple of the photo's, as in 200%"
        " or 2x; or on paper, as in 20cm, 60x90cm, 8x10in or A4. 'original' is the photo's size,"
        " and 'fit' is that or the largest that fits in memory.",
        metavar="SIZE",
        short="-s",
        shown=f"{AUTO_SIZE}, or less for a smaller photo",
    )
    effort: str = _choice_option(
        "normal",
        tuple(EFFORTS),
        "How many iterations to run without '-n': 'draft' for a quick look, 'best' for a print.",
    )
    iterations: int | str = _option(
        "auto",
        checks.integer(1, 10**9, "auto"),
        "Total iterations, divided among the scales; each is one pass through the network and"
        " back.",
        metavar="N",
        short="-n",
        shown="set by '--effort'",
    )
    strength: float = _option(
        1.0,
        checks.number(0, 1),
        "How much of the painting's style: 1 for all, 0.5 for half of the way from the photo, 0.1"
        " for a hint.",
        metavar="SHARE",
    )
    content_weight: float = _option(
        1.0,
        checks.number(0, HEAVIEST),
        "Weight of the photo's content (alpha); 0 paints pure texture.",
        metavar="ALPHA",
    )
    style_weight: float = _option(
        1.0,
        checks.number(0, HEAVIEST),
        "Weight of the painting's style (beta); 0 rebuilds the photo from its features.",
        metavar="BETA",
    )
    content_layers: str = _option(
        "relu2_2:0.1,relu4_2",
        checks.layers,
        "Layers that describe the content; relu4_2 is the paper's conv4_2."
        " relu3_1,relu4_2:0.5 halves the weight of the second.",
        metavar="LAYERS",
    )
    style_layers: str = _option(
        "relu1_1:0.2,relu2_1,relu3_1:0.5,relu4_1,relu5_1:0.1",
        checks.layers,
        "Layers whose features describe the style, by Gram matrices and means (same notation).",
        metavar="LAYERS",
    )
    blend: str | None = _option(
        None,
        checks.blend,
        "How to mix several STYLEs: 'equal' or one share each, as in 0.7,0.3.",
        metavar="SHARES",
        shown="several STYLEs are refused",
    )
    style_scale: float = _option(
        1.0,
        checks.number(0.1, 10),
        "Size of the strokes: 1 scales the painting to the area of the result, 0.5 to half the side"
        " (finer strokes), 2 to twice (larger).",
        metavar="FACTOR",
    )
    tv_weight: float = _option(
        0.0,
        checks.number(0, HEAVIEST),
        "Weight of total variation, which smooths; not in the paper.",
        metavar="WEIGHT",
    )
    objective: str = _choice_option(
        "balanced",
        ("balanced", "paper"),
        "'balanced' divides each layer's loss by the layer's own energy, so that weights have the"
        " same effect at every size; 'paper' uses the sums of the paper.",
    )
    network: str = _choice_option(
        "plain",
        ("normalized", "plain"),
        "'normalized' scales each filter to a mean activation of 1, as the paper's authors did.",
    )
    pooling: str = _choice_option(
        "avg", ("avg", "max"), "Average pooling, as in the paper, or VGG-19's max pooling."
    )
    optimizer: str = _choice_option("lbfgs", ("lbfgs", "adam"), "Optimisation method.")
    learning_rate: float = _option(
        0.05, checks.number(1e-6, 1), "Adam's step; pixels are 0..1.", metavar="RATE"
    )
    color: str = _choice_option(
        "style",
        ("style", "content", "match"),
        "Colours of the result: 'style' uses the painting's; 'content' uses the photo's, and only"
        " light and dark are painted; 'match' first shifts the painting's palette to the photo's.",
    )
    mask: tuple[str, ...] = _option(
        (),
        checks.masks,
        "Where a STYLE applies: fully on white, not on black, partly on grey; not:PATH is the"
        " reverse. Give one for each STYLE, in order; where none applies, the photo stays.",
        metavar="PATH",
        shown="everywhere",
    )
    init: str = _option(
        "faint",
        checks.path,
        "Start from 'noise', noise over a 'faint' photo, the photo itself ('content'), the painting"
        " ('style') or the picture at PATH. A picture gives its forms to the first scale, its"
        " detail to each finer one.",
        metavar="START",
    )
    enlarge: str = _option(
        "none",
        checks.path,
        "Go on from the picture at PATH, which stylize painted smaller of the same photo, with its"
        " options but --size, -n and --scales: a poster that looks like the small picture.",
        metavar="PATH",
    )
    scales: int | str = _option(
        "auto",
        checks.integer(1, MOST_SCALES, "auto"),
        "Paint at N sizes, coarse to fine, each twice the one before; 1 paints only at full size,"
        f" as the paper does, and 'auto' starts near {COARSEST} pixels.",
        metavar="N",
    )
    seed: int = _option(0, checks.integer(0, 2**63 - 1), "Seed of the random noise.", metavar="N")
    device: str = _option(
        "auto",
        checks.device,
        "Where to compute: cpu, cuda or cuda:N (NVIDIA, AMD), mps (Apple) or xpu (Intel); 'auto'"
        " takes a GPU if torch can use one.",
        metavar="DEVICE",
    )
    precision: str = _choice_option(
        "auto",
        ("auto", "float32", "bfloat16"),
        "Number type of the network; 'auto': bfloat16 if the device has it. Picture, losses,"
        " optimiser use float32.",
    )
    threads: int = _option(0, checks.integer(0, 256), "Threads; 0 lets torch choose.", metavar="N")
    weights: str = _option(
        "auto",
        checks.path,
        "Weights of VGG-19: 'oxford' (the original in 8 bits, embedded; 'auto' uses it),"
        " 'torchvision' (downloaded once, 548 MB), or the PATH of a .pth or .safetensors file.",
        metavar="WEIGHTS",
    )
    background: str = _option(
        "#ffffff",
        checks.color,
        "Colour behind a transparent photo in a JPEG, which cannot be transparent: a name or"
        " #rrggbb.",
        metavar="COLOR",
        shown="white",
    )
    depth: int = _option(
        8,
        checks.one_of(8, 16),
        "Bits per channel of the result; 16 needs TIFF.",
        choices=("8", "16"),
    )
    keep_exif: bool = _option(
        False,
        checks.boolean,
        "Copy the photo's EXIF data (camera, place...) to the result.",
        shown="no",
    )
    jpeg_quality: int = _option(
        95, checks.integer(1, 100), "Quality of a JPEG, WebP or AVIF, 1 to 100.", metavar="Q"
    )
    dpi: int | str = _option(
        "auto",
        checks.integer(1, 9600, "auto"),
        "Dots per inch: of a --size on paper, and written into a PNG, JPEG or TIFF.",
        metavar="N",
        shown=f"{printing.DENSITY} for a size on paper, else not written",
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            given, option_flag = getattr(self, option.name), flag(option.name)
            try:
                value = option.metadata["check"](given, option_flag)
            except OptionError:
                raise
            except Exception as error:  # a program may pass any object: an array, None, bytes
                raise OptionError(f"{option_flag}: {shown(given)} is not valid") from error
            object.__setattr__(self, option.name, value)
        if self.content_weight == self.style_weight == 0:
            raise OptionError(
                "--content-weight and --style-weight are both 0, so there is nothing to paint;"
                " give one a higher weight"
            )
        if self.mask and self.blend is not None:
            raise OptionError("--mask sets where each STYLE goes; leave --blend out")
        if self.depth == 16 and self.keep_exif:
            raise OptionError("--keep-exif: is not possible in 16 bits; use --depth 8")
        if self.network == "normalized" and self.weights not in ("auto", "oxford"):
            raise OptionError(
                "--network normalized: works only with the embedded weights; use --network plain"
            )

    def __repr__(self) -> str:
        values = ((option, getattr(self, option.name)) for option in fields(self))
        changed = (f"{o.name}={value!r}" for o, value in values if value != o.default)
        return f"Options({', '.join(changed)})"

    @classmethod
    def from_preset(cls, preset: str | None = None, **given: Any) -> "Options":
        """Return the options of a preset, with those in `given` in place of its own.

        Args:
            preset: a key of `PRESETS`, or None for the defaults alone.
            **given: options by field name.

        Raises:
            OptionError: there is no such preset or option, or a value is not valid.
        """
        if preset is not None and preset not in list(PRESETS):
            raise OptionError(f"--preset: no preset {shown(preset)}; give {' or '.join(PRESETS)}")
        return cls(**(PRESETS[preset] if preset else {})).replace(**given)

    def replace(self, **changes: Any) -> "Options":
        """Return a copy in which some options are changed.

        Raises:
            OptionError: there is no such option, or a value is not valid.
        """
        checks.check_names(changes, (option.name for option in fields(self)))
        return dataclasses.replace(self, **changes)

    @property
    def pictures_named(self) -> dict[str, str]:
        """The paths of pictures other than photo, paintings and masks, by option."""
        paths = {"init": self.init, "enlarge": self.enlarge}
        return {name: path for name, path in paths.items() if path not in WORDS[name]}

    @property
    def mask_files(self) -> tuple[str, ...]:
        """The paths of the masks."""
        start = len(INVERTED)
        return tuple(m[start:] if m.startswith(INVERTED) else m for m in self.mask)

    @property
    def masks_inverted(self) -> tuple[bool, ...]:
        """Whether each mask applies where it is black."""
        return tuple(mask.startswith(INVERTED) for mask in self.mask)

    def mask_digests(self, digests: Iterable[str]) -> list[str]:
        """Return what a recipe says about the masks, from the digests of their files."""
        pairs = zip(self.masks_inverted, digests, strict=True)
        return [INVERTED + digest if inverted else digest for inverted, digest in pairs]

    @property
    def weights_file(self) -> str | None:
        """The path of the network's weights; None for those that have a name."""
        return None if self.weights in WEIGHTS else split_weights(self.weights)[0]

    @property
    def density(self) -> int | None:
        """Dots per inch that the file says; None if it says nothing."""
        if self.dpi == "auto":
            return printing.DENSITY if printing.sides(self.size) else None
        return int(self.dpi)

    @property
    def combines_styles(self) -> bool:
        """Whether all style images are used in one picture."""
        return self.blend is not None or bool(self.mask)

    def without_effect(self, one_style: bool) -> list[str]:
        """Say which options were set although others leave them without effect.

        Args:
            one_style: whether there is a single style image.
        """
        remarks = []
        if self.learning_rate != Options.learning_rate and self.optimizer != "adam":
            remarks.append("--learning-rate: has no effect without --optimizer adam")
        if self.effort != Options.effort and self.iterations != "auto":
            remarks.append("--effort: has no effect where the number of iterations is set")
        if one_style and self.blend and "," not in self.blend:  # several shares are an error
            remarks.append("--blend: has no effect with one STYLE")
        return remarks

    def style_shares(self, styles: int) -> list[float]:
        """Return the share of each style image: together 1 in a blend, 1 for each with masks.

        Args:
            styles: the number of style images.

        Raises:
            OptionError: there are several style images but neither `blend` nor masks, or the
                number of shares or masks differs from the number of style images.
        """
        if self.mask:
            if len(self.mask) != styles:
                raise OptionError(
                    f"--mask: {_count(len(self.mask), 'mask')} for {_count(styles, 'style')}; give"
                    " one each, in order"
                )
            return [1.0] * styles
        if self.blend is None and styles > 1:
            raise OptionError(
                f"{styles} paintings for one picture: --blend equal mixes them, and a --mask for"
                " each uses them side by side"
            )
        if self.blend is None or self.blend == "equal":
            return [1 / styles] * styles
        shares = [float(share) for share in self.blend.split(",")]
        if len(shares) != styles:
            raise OptionError(
                f"--blend: {_count(len(shares), 'share')} for {_count(styles, 'style')}; give one"
                " each"
            )
        return [share / sum(shares) for share in shares]


def flag(name: str) -> str:
    """Return an option's name as it is typed: `content_weight` becomes `--content-weight`."""
    return "--" + name.replace("_", "-")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
