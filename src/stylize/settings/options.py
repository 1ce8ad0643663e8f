"""`Options`: the only home of every default, range and help sentence. No torch.

The command line, the Python API, the README's table and the tests all read it.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import OptionError
from . import checks
from .presets import PRESETS

#: The longer side under `--size auto`, where the photo has that many pixels.
AUTO_SIZE = 512
#: Suffixes that can be written, by the name of their format.
FORMATS: dict[str, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "avif": (".avif",),
}

#: No weight above this: only their ratio matters, and losses times weights stay finite numbers.
HEAVIEST = 1e30
#: Longer side, roughly, of the coarsest picture under `--scales auto`: relu5_1 sees most of it
#: at once, so that the large forms of the painting find their places.
COARSEST = 128
#: And as many scales at most.
MOST_SCALES = 16
#: Iterations at the coarsest scale, by `--effort`; each finer one has `DECLINE` times as many.
EFFORTS, DECLINE = {"draft": 40, "normal": 100, "best": 300}, 0.9
#: Pixels from which memory counts for more than speed.
LARGE = 600_000
#: The words for `--init` that are no paths.
STARTS = ("noise", "content", "style")


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
    """A dataclass field with what `--help` and the README say of it.

    `shown` is how the default reads where its value does not speak for itself.
    """
    return field(
        default=default,
        metadata=dict(
            check=check, help=help, metavar=metavar, short=short, shown=shown, choices=choices
        ),
    )


def _option_of(default: str, choices: tuple[str, ...], help: str) -> Any:
    return _option(default, checks.choice(*choices), help, choices=choices)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to paint, and how to write the result. `stylize --help` says the same in full.

    Values may be given as they would be typed: `Options(size="300") == Options(size=300)`.

    Raises:
        OptionError: a value is out of range; the message names the option.
    """

    size: int | str = _option(
        "auto",
        checks.integer(16, 65536, "auto", "original", "fit"),
        "Longer side of the result in pixels; 'original' for the photo's own, 'fit' for that or the"
        " largest that there is memory for.",
        metavar="PIXELS",
        short="-s",
        shown=f"{AUTO_SIZE}, or the photo's own if smaller",
    )
    effort: str = _option_of(
        "normal",
        tuple(EFFORTS),
        "How many iterations, where '-n' does not say: 'draft' for a quick look, 'best' for the"
        " wall.",
    )
    iterations: int | str = _option(
        "auto",
        checks.integer(1, 10**9, "auto"),
        "Iterations in all, shared out over the scales; one is one pass through the network and"
        " back.",
        metavar="N",
        short="-n",
        shown="as '--effort' says",
    )
    content_weight: float = _option(
        1.0,
        checks.number(0, HEAVIEST),
        "Alpha, the weight of the photo's content; 0 paints pure texture.",
        metavar="ALPHA",
    )
    style_weight: float = _option(
        1.0,
        checks.number(0, HEAVIEST),
        "Beta, the weight of the painting's style; 0 rebuilds the photo from its features.",
        metavar="BETA",
    )
    content_layers: str = _option(
        "relu2_2:0.1,relu4_2",
        checks.layers,
        "Layers that hold the content; relu4_2 is the paper's conv4_2, and"
        " relu3_1,relu4_2:0.5 gives the second half its weight.",
        metavar="LAYERS",
    )
    style_layers: str = _option(
        "relu1_1:0.2,relu2_1,relu3_1:0.5,relu4_1,relu5_1:0.1",
        checks.layers,
        "Layers whose Gram matrices hold the style, written in the same way.",
        metavar="LAYERS",
    )
    blend: str | None = _option(
        None,
        checks.blend,
        "How several STYLEs mix: 'equal', or a share for each, as in 0.7,0.3.",
        metavar="SHARES",
        shown="several STYLEs are refused",
    )
    style_scale: float = _option(
        1.0,
        checks.number(0.1, 10),
        "Size of the strokes: 1 shows the network the painting at the area of the result,"
        " 0.5 at half the side (finer strokes), 2 at twice (larger).",
        metavar="FACTOR",
    )
    tv_weight: float = _option(
        0.0,
        checks.number(0, HEAVIEST),
        "Weight of the total variation, which smooths; not in the paper.",
        metavar="WEIGHT",
    )
    objective: str = _option_of(
        "balanced",
        ("balanced", "paper"),
        "'balanced' measures each layer's loss as a share of the layer's own energy, so that the"
        " weights mean the same at every size; 'paper' takes the sums of the paper.",
    )
    network: str = _option_of(
        "plain",
        ("normalized", "plain"),
        "'normalized' scales each filter to a mean activation of 1, as the paper's authors did.",
    )
    pooling: str = _option_of(
        "avg", ("avg", "max"), "Average pooling, as in the paper, or VGG-19's own max pooling."
    )
    optimizer: str = _option_of("lbfgs", ("lbfgs", "adam"), "What moves the pixels.")
    learning_rate: float = _option(
        0.05, checks.number(1e-6, 1), "Adam's; a pixel's range is 1.", metavar="RATE"
    )
    color: str = _option_of(
        "style",
        ("style", "content", "match"),
        "Whose colours: 'style' the painting's, 'content' the photo's under the painting's light"
        " and dark, 'match' a painting whose colours are moved to the photo's before it is painted"
        " from.",
    )
    mask: tuple[str, ...] = _option(
        (),
        checks.paths,
        "Where a STYLE goes: white takes it, black does not, grey partly. Once for each STYLE, in"
        " their order; where no mask is white, the photo stays.",
        metavar="PATH",
        shown="everywhere",
    )
    init: str = _option(
        "noise",
        checks.path,
        "What the optimisation starts from: 'noise', 'content', 'style', or a picture's PATH. A"
        " picture gives its forms to the coarsest scale and its detail to each finer one.",
        metavar="START",
    )
    scales: int | str = _option(
        "auto",
        checks.integer(1, MOST_SCALES, "auto"),
        "Paint at N sizes, coarse to fine, each twice the one before; 1 paints at the full size"
        f" alone, as the paper does, and 'auto' begins near {COARSEST} pixels.",
        metavar="N",
    )
    seed: int = _option(
        0, checks.integer(0, 2**63 - 1), "Number that the noise grows from.", metavar="N"
    )
    device: str = _option(
        "auto",
        checks.device,
        "Where to compute: cpu, cuda, cuda:N or mps; 'auto' takes CUDA, then MPS, then the CPU.",
        metavar="DEVICE",
    )
    precision: str = _option_of(
        "auto",
        ("auto", "float32", "bfloat16"),
        "Of the network; 'auto' takes bfloat16 where the hardware has it. Picture, losses and"
        " optimiser are float32.",
    )
    threads: int = _option(0, checks.integer(0, 256), "Threads; 0 leaves it to torch.", metavar="N")
    weights: str = _option(
        "auto",
        checks.path,
        "Weights of VGG-19: 'oxford' (the original in 8 bits, embedded; 'auto' takes it),"
        " 'torchvision' (downloaded once, 548 MB), or the PATH of a .pth or .safetensors file.",
        metavar="WEIGHTS",
    )
    background: str = _option(
        "#ffffff",
        checks.color,
        "What a transparent photo lies over in a JPEG, which cannot be transparent: a colour's"
        " name, or #rrggbb.",
        metavar="COLOR",
        shown="white",
    )
    depth: int = _option(
        8,
        checks.one_of(8, 16),
        "Bits per channel of the result; 16 is for TIFF.",
        choices=("8", "16"),
    )
    keep_exif: bool = _option(
        False,
        checks.boolean,
        "Copy the photo's EXIF, with camera and place, into the result.",
        shown="no",
    )
    existing: str = _option(
        "auto",
        checks.choice("auto", "update", "replace", "skip", "fail"),
        "What to do when OUTPUT is there already: 'update' paints it anew if it is not complete, or"
        " an input or an option has changed.",
        shown="update for folders, else replace",
        choices=("auto", "update", "replace", "skip", "fail"),
    )
    jpeg_quality: int = _option(
        95, checks.integer(1, 100), "Quality of a JPEG, WebP or AVIF, 1 to 100.", metavar="Q"
    )
    format: str = _option_of(
        "png",
        tuple(FORMATS),
        "Format where no name says it: on standard output ('-o -'), and in a folder.",
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            given, spelled = getattr(self, option.name), flag(option.name)
            try:
                value = option.metadata["check"](given, spelled)
            except OptionError:
                raise
            except Exception as error:  # arrays, None, bytes: whatever a program may hand over
                raise OptionError(f"{spelled}: {_cut(given)} will not do") from error
            object.__setattr__(self, option.name, value)
        if self.content_weight == self.style_weight == 0:
            raise OptionError("--content-weight and --style-weight are both 0: nothing to paint")
        if self.mask and self.blend is not None:
            raise OptionError("--mask says where each STYLE goes: leave --blend out")
        if self.depth == 16 and self.keep_exif:
            raise OptionError("--keep-exif: cannot be had in 16 bits; take --depth 8")
        if self.network == "normalized" and self.weights not in ("auto", "oxford"):
            raise OptionError(
                "--network normalized: is known for the embedded weights only; take --network plain"
            )

    @classmethod
    def from_preset(cls, preset: str | None = None, **given: Any) -> "Options":
        """The preset's options, overruled by those given.

        Args:
            preset: a name out of `PRESETS`, or None for the defaults alone.
            **given: options by field name.

        Raises:
            OptionError: no such preset or option, or a value out of range.
        """
        if preset is not None and preset not in list(PRESETS):
            raise OptionError(f"--preset: no preset {preset!r}; give {' or '.join(PRESETS)}")
        return cls(**(PRESETS[preset] if preset else {})).but(**given)

    def but(self, **changes: Any) -> "Options":
        """The same options with some of them changed.

        Raises:
            OptionError: no such option, or a value out of range.
        """
        unknown = changes.keys() - {option.name for option in fields(self)}
        if unknown:
            raise OptionError(f"no such option: {', '.join(sorted(unknown))}")
        return replace(self, **changes)

    @property
    def together(self) -> bool:
        """Whether all STYLEs go into one picture."""
        return self.blend is not None or bool(self.mask)

    def shares(self, styles: int) -> list[float]:
        """Each style's share of the blend, which add up to 1; with masks, 1 for each.

        Raises:
            OptionError: several styles without `blend` or masks, or not as many as styles.
        """
        if self.mask:
            if len(self.mask) != styles:
                raise OptionError(
                    f"--mask: {len(self.mask)} for {styles} STYLEs; give one for each, in order"
                )
            return [1.0] * styles
        if self.blend is None and styles > 1:
            raise OptionError(
                f"{styles} STYLEs given: add --blend equal (or shares, as in --blend 0.7,0.3) to"
                " mix them in one picture, a --mask for each to set them side by side, or name a"
                " folder as OUTPUT for a picture after each"
            )
        if self.blend is None or self.blend == "equal":
            return [1 / styles] * styles
        shares = [float(share) for share in self.blend.split(",")]
        if len(shares) != styles:
            raise OptionError(f"--blend: {len(shares)} shares for {styles} STYLEs; give one each")
        return [share / sum(shares) for share in shares]


def flag(name: str) -> str:
    """An option's name as it is typed: `content_weight` is `--content-weight`."""
    return "--" + name.replace("_", "-")


def _cut(value: Any) -> str:
    """A value as messages show it, whatever it is."""
    try:
        shown = repr(value)
    except Exception:  # a number of more digits than Python writes
        return f"this {type(value).__name__}"
    return shown if len(shown) <= 80 else f"{shown[:80]}..."
