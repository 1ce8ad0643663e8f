"""The recipe that a result carries: all that its pixels depend on, and nothing else.

It knows no time, path or host, so that the same picture is the same file. As JSON it stands in a
PNG's text chunk `stylize`, and in the XMP of all other formats. No torch.
"""

import json
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from PIL import Image, UnidentifiedImageError

from ..errors import OptionError, PictureError
from ..network.names import WEIGHTS
from .options import STARTS, Options, flag

#: Name of the text chunk.
KEY = "stylize"
#: Stands for the path of a file, whose digest is in the recipe.
FILE = "file"

#: Options that no pixel depends on, or, as the device, that are this machine's own affair; and
#: paths, in whose place there are digests.
_LEFT_OUT = {"device", "existing", "format", "keep_exif", "mask"}
#: Options that tell nothing in some formats.
_IDLE = {
    "png": {"jpeg_quality", "background"},
    "tiff": {"jpeg_quality", "background"},
    "webp": {"background"},
    "avif": {"background"},
}
#: Options that are a word out of these, or a path.
_WORDS = {"init": STARTS, "weights": WEIGHTS}

_SPACE = "urn:stylize:"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    f' xmlns:stylize="{_SPACE}" xmp:CreatorTool="stylize" stylize:recipe=%s/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


@dataclass(frozen=True)
class Recipe:
    """What a picture was painted with.

    Attributes:
        stylize, torch: versions.
        device: kind of device: cpu, cuda or mps.
        precision: of the network, float32 or bfloat16.
        complete: False where the run was ended before its last iteration.
        options: by field name, those of `Options` that pixels depend on; `"file"` for a path.
        digests: sha256 of the files: "content", "styles", "weights"; "masks" and "init" if any.
        fitted: whether it was `--size fit` that chose the size.
    """

    stylize: str
    torch: str
    device: str
    precision: str
    complete: bool
    options: Mapping[str, Any]
    digests: Mapping[str, Any]
    fitted: bool = False

    @classmethod
    def of(cls, options: Options, **facts: Any) -> "Recipe":
        """The recipe of a run with these options; `facts` are the other attributes."""
        return cls(stylize=version("neural-stylize"), options=_kept(options), **facts)

    def text(self, indent: int | None = None) -> str:
        """As JSON, in ASCII."""
        said = {key: value for key, value in asdict(self).items() if key != "fitted" or value}
        return json.dumps(said, sort_keys=True, indent=indent)

    def xmp(self) -> bytes:
        """As an XMP packet."""
        return (_XMP % quoteattr(self.text())).encode()

    def given(self) -> dict[str, Any]:
        """The options that can be taken as they are: all but files, and no masks if it has none."""
        taken = {
            name: value
            for name, value in self.options.items()
            if value != FILE and name not in _LEFT_OUT
        }
        return taken if "masks" in self.digests else {**taken, "mask": ()}

    def check(self, options: Options, typed: Collection[str] = ()) -> None:
        """See that files which the recipe knows only by their digest have been named.

        Args:
            options: with which it is to be painted again.
            typed: names of those that were given on purpose, and may be anything.

        Raises:
            OptionError: one was not; the message says which.
        """
        for name, words in _WORDS.items():
            known = self.options.get(name) == FILE and name not in typed
            if known and getattr(options, name) in words:
                digest = self.digests.get(name, "")
                raise OptionError(
                    f"--recipe: was painted with a file as {flag(name)}; name it again"
                    f" (sha256 {digest[:12]}...)"
                )
        masks = self.digests.get("masks", ())
        if masks and not options.mask:
            raise OptionError(f"--recipe: was painted with {len(masks)} masks; give --mask again")

    def repeats(self, options: Options, digests: Mapping[str, Any], format: str) -> bool:
        """Whether a run would give this picture again, on the machine that it was painted on.

        Args:
            options: of the run.
            digests: as in `Recipe`; "weights" only if they are a file.
            format: of the file, a key of `FORMATS`.
        """
        idle = set(_IDLE.get(format, ()))
        if options.size == "fit" and self.fitted:  # what is free now is no reason to paint anew
            idle.add("size")
        if options.optimizer != "adam":
            idle.add("learning_rate")
        if options.iterations != "auto":
            idle.add("effort")
        # An option that was not known then had what is now its default.
        held, wanted = ({**_kept(Options()), **kept} for kept in (self.options, _kept(options)))
        same = all(
            held.get(name, False) == wanted.get(name, False)
            for name in held.keys() | wanted.keys()
            if name not in idle
        )
        others = self.digests.keys() - ({"weights"} - digests.keys())
        return (
            self.complete
            and same
            and others == digests.keys()
            and all(self.digests[key] == digests[key] for key in others)
        )

    def departures(self, other: "Recipe") -> list[str]:
        """What `other` does not share with this recipe, other than options, in words."""
        found = []
        if not self.complete:
            found.append("its picture was interrupted; this one is painted to the end")
        names = {"content": "the photo", "styles": "the paintings", "masks": "the masks"}
        names |= {"init": "the --init picture", "weights": "the weights"}
        for key, name in names.items():
            if self.digests.get(key) != other.digests.get(key):
                found.append(f"{name}: not the recipe's")
        for key in ("stylize", "torch", "device", "precision"):
            theirs, ours = getattr(self, key), getattr(other, key)
            if theirs != ours:
                found.append(f"{key}: {theirs} in the recipe, {ours} here")
        return found


def _kept(options: Options) -> dict[str, Any]:
    """The options as they are written down."""
    kept = {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if field.name not in _LEFT_OUT
    }
    if options.keep_exif:
        kept["keep_exif"] = True  # said, though never obeyed: it would give away another's place
    for name, words in _WORDS.items():
        if kept[name] not in words:
            kept[name] = FILE
    return kept


def read(path: str | os.PathLike[str]) -> Recipe:
    """The recipe that a picture carries.

    Raises:
        PictureError: no such picture, or none that stylize made, or a damaged recipe.
    """
    name = os.fspath(path)
    text = _text(name)
    try:
        held = json.loads(text)
        options, digests = held["options"], held["digests"]
        words = {key: held[key] for key in ("stylize", "torch", "device", "precision")}
        if not (all(isinstance(word, str) for word in words.values()) and _sound(digests)):
            raise ValueError("not as stylize writes it")
        _check_names(options, name, words["stylize"])
        complete, fitted = bool(held["complete"]), bool(held.get("fitted"))
        return Recipe(**words, complete=complete, options=options, digests=digests, fitted=fitted)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PictureError(f"{name}: its recipe is damaged ({error})") from error


def _sound(digests: Any) -> bool:
    """Whether digests are as `Recipe` says: a picture may have been made by anybody."""
    lists = {"styles", "masks"}
    known = {"content", "styles", "weights", "masks", "init"}
    return (
        isinstance(digests, dict)
        and digests.keys() <= known
        and all(
            isinstance(value, list) == (key in lists)
            and all(isinstance(word, str) for word in (value if key in lists else [value]))
            for key, value in digests.items()
        )
    )


def _check_names(options: dict[str, Any], name: str, made: str) -> None:
    """See that there are options that a recipe may set, and plain values, no paths.

    Raises:
        PictureError: there are others, as a newer version or a stranger may write.
    """
    known = {field.name for field in fields(Options)} - _LEFT_OUT | {"keep_exif"}
    plain = (str, int, float, bool, type(None))
    for option, value in options.items():
        path = option in _WORDS and value not in (*_WORDS[option], FILE)
        if option not in known or not isinstance(value, plain) or path:
            raise PictureError(
                f"{name}: its recipe, by stylize {made}, has an option that is not known here:"
                f" {option!r}"
            )


def show(path: str | os.PathLike[str]) -> str:
    """The recipe that a picture carries, as JSON on many lines.

    Raises:
        PictureError: as `read`.
    """
    return read(path).text(indent=2)


def _text(name: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels: they are not read
            with Image.open(name) as image:
                plain, xmp = image.info.get(KEY), image.info.get("xmp")
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture that can be read here") from error
    except Exception as error:  # Pillow's readers fail in a dozen ways on damaged files
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"{name}: cannot be read ({reason})") from error
    found = plain if isinstance(plain, str) else _in_xmp(xmp)
    if found is None:
        raise PictureError(f"{name}: carries no recipe; it was not made by stylize, or was edited")
    return found


def _in_xmp(packet: object) -> str | None:
    """Attribute or element: programs that edit XMP turn the one into the other."""
    data = packet.encode() if isinstance(packet, str) else packet
    if not isinstance(data, bytes) or b"<!DOCTYPE" in data:  # no entities of strangers
        return None
    try:
        for element in ElementTree.fromstring(data.strip(b"\0")).iter():
            if element.tag == f"{{{_SPACE}}}recipe":
                return element.text
            if held := element.get(f"{{{_SPACE}}}recipe"):
                return held
    except (ElementTree.ParseError, LookupError, ValueError):  # or an encoding that nobody knows
        pass
    return None
