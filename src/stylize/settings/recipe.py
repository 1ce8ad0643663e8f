"""The recipe in a result: everything its pixels depend on, and nothing else.

A recipe has no time, path or host name, so that equal pictures are equal files. It is JSON in a
PNG's text chunk `stylize`, and in the XMP of all other formats.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from PIL import Image, UnidentifiedImageError

from ..errors import OptionError, PictureError, shortened, shown
from ..files import open_regular
from ..silence import warnings_silenced
from . import printing
from .options import WORDS, WRITABLE, Options, flag

#: Name of the text chunk.
KEY = "stylize"
#: Replaces the path of a file in the options; the file's digest is in the recipe instead.
FILE = "file"

#: Options that are not recorded: no pixel depends on them, or they concern only this machine (the
#: device), or they are paths, for which the recipe has digests.
_UNRECORDED = {"device", "keep_exif", "mask"}
#: Options that have no effect on a file, by its format.
_INEFFECTIVE = {
    "png": {"jpeg_quality", "background"},
    "tiff": {"jpeg_quality", "background"},
    "webp": {"background", "dpi"},
    "avif": {"background", "dpi"},
}

#: The most characters of a version, device or precision.
_LONGEST_WORD = 100
#: The most bytes of a recipe that is in a file of its own.
_LONGEST_TEXT = 1_000_000

_XMP_NAMESPACE = "urn:stylize:"
_XMP_TEMPLATE = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    f' xmlns:stylize="{_XMP_NAMESPACE}" xmp:CreatorTool="stylize" stylize:recipe=%s/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


@dataclass(frozen=True)
class Recipe:
    """What a picture was painted with.

    Attributes:
        stylize: version of stylize.
        torch: version of torch.
        device: kind of device: cpu, cuda, mps or xpu.
        precision: number type of the network, float32 or bfloat16.
        complete: False where the run was ended before its last iteration.
        options: by field name, the values of `Options` that pixels depend on; `"file"` for a path.
        digests: SHA-256 of the input files: "content", "styles", "weights", and "masks", "init" and
            "enlarge" if there are any; "styles" and "masks" are lists.
        fitted: whether `--size fit` chose the size.
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
        """Make the recipe of a run.

        Args:
            options: of the run.
            **facts: the other attributes, except for `stylize`, which is the installed version.
        """
        return cls(stylize=version("neural-stylize"), options=_recorded_options(options), **facts)

    def text(self, indent: int | None = None) -> str:
        """Return the recipe as JSON in ASCII; `indent` is that of `json.dumps`."""
        values = {key: value for key, value in asdict(self).items() if key != "fitted" or value}
        return json.dumps(values, sort_keys=True, indent=indent)

    def xmp(self) -> bytes:
        """Return the recipe as an XMP packet."""
        return (_XMP_TEMPLATE % quoteattr(self.text())).encode()

    def option_values(self) -> dict[str, Any]:
        """Return the options that can be used again without a file that the user must name.

        These are all recorded options but files. The masks are set to none if the picture had none.
        """
        values = {
            name: value
            for name, value in self.options.items()
            if value != FILE and name not in _UNRECORDED
        }
        return values if "masks" in self.digests else {**values, "mask": ()}

    def check_files_named(
        self, options: Options, typed: Collection[str] = (), source: str = "--recipe"
    ) -> None:
        """Check that the user has named each file of which the recipe has only the digest.

        Args:
            options: the options for painting the picture again.
            typed: names of options that the user set on the command line; these may have any value.
            source: the option that names the picture, for the message.

        Raises:
            OptionError: a file was not named; the message says which.
        """
        for name, words in WORDS.items():
            needs_file = self.options.get(name) == FILE and name not in typed
            if needs_file and getattr(options, name) in words:
                digest = self.digests.get(name, "")
                raise OptionError(
                    f"{source}: the picture was painted with a file as {flag(name)}; name it again"
                    f" (sha256 {digest[:12]}...)"
                )
        masks = self.digests.get("masks", ())
        if masks and not options.mask:
            number = f"{len(masks)} mask{'s' * (len(masks) > 1)}"
            raise OptionError(f"{source}: the picture was painted with {number}; give --mask again")

    def matches(self, options: Options, digests: Mapping[str, Any], format: str) -> bool:
        """Return whether a run would repeat this picture on the machine that painted it.

        Args:
            options: of the run.
            digests: as in `Recipe`; "weights" only if they are a file.
            format: of the file, a key of `FORMATS`.
        """
        ignored = set(_INEFFECTIVE.get(format, ()))
        if printing.sides(options.size):
            ignored.discard("dpi")  # it decides how many pixels there are
        if options.size == "fit" and self.fitted:
            # The memory that is free now may differ; that is no reason to paint the picture again.
            ignored.add("size")
        if options.optimizer != "adam":
            ignored.add("learning_rate")
        if options.iterations != "auto":
            ignored.add("effort")
        # If an option did not exist yet when the picture was painted, its present default applied.
        recorded, requested = (
            {**_recorded_options(Options()), **values}
            for values in (self.options, _recorded_options(options))
        )
        same_options = all(
            recorded.get(name, False) == requested.get(name, False)
            for name in recorded.keys() | requested.keys()
            if name not in ignored
        )
        compared = self.digests.keys() - ({"weights"} - digests.keys())
        return (
            self.complete
            and same_options
            and compared == digests.keys()
            and all(self.digests[key] == digests[key] for key in compared)
        )

    def differences(self, other: "Recipe", enlarged: bool = False) -> list[str]:
        """Describe in words how `other` differs from this recipe, apart from its options.

        Args:
            other: the recipe of another picture.
            enlarged: whether that picture enlarges the one with this recipe.
        """
        messages = []
        if not self.complete:
            messages.append("its picture was interrupted; this one is painted to the end")
        names = {"content": "the photo", "styles": "the paintings", "masks": "the masks"}
        names |= {"init": "the --init picture", "weights": "the weights"}
        # A picture that enlarges none may be the one that is enlarged, by another path.
        if "enlarge" in self.digests and not enlarged:
            names["enlarge"] = "the --enlarge picture"
        for key, name in names.items():
            if self.digests.get(key) != other.digests.get(key):
                messages.append(f"{name}: not the same as in the recipe")
        for key in ("stylize", "torch", "device", "precision"):
            recorded, current = getattr(self, key), getattr(other, key)
            if recorded != current:
                messages.append(f"{key}: {recorded} in the recipe, {current} here")
        return messages


def _recorded_options(options: Options) -> dict[str, Any]:
    """Return the options that a recipe records, by name."""
    values = {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if field.name not in _UNRECORDED
    }
    if options.keep_exif:
        # Recorded so that `matches` sees it. A recipe never sets it: a stranger's recipe could then
        # make a user publish the place where a photo was taken.
        values["keep_exif"] = True
    for name, words in WORDS.items():
        if values[name] not in words:
            values[name] = FILE
    return values


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read the recipe of a picture.

    Args:
        path: of the picture, or of a file with what `--show-recipe` printed.

    Raises:
        PictureError: there is no such picture, or stylize did not make it, or its recipe is
            damaged.
    """
    name = os.fspath(path)
    return parse(_read_text(name), name)


def parse(text: str, name: str) -> Recipe:
    """The recipe out of its text.

    Args:
        text: as `Recipe.text` gives it.
        name: of the file that it is in.

    Raises:
        PictureError: it is damaged.
    """
    try:
        values = json.loads(text)
        options, digests = values["options"], values["digests"]
        words = {key: values[key] for key in ("stylize", "torch", "device", "precision")}
        words_valid = all(
            isinstance(word, str) and len(word) <= _LONGEST_WORD for word in words.values()
        )
        if not (words_valid and _digests_valid(digests)):
            raise ValueError("not as stylize writes it")
        _check_option_names(options, name, words["stylize"])
        complete, fitted = bool(values["complete"]), bool(values.get("fitted"))
        return Recipe(**words, complete=complete, options=options, digests=digests, fitted=fitted)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = shortened(str(error))
        raise PictureError(f"{name}: its recipe is damaged ({reason})") from error


def _digests_valid(digests: Any) -> bool:
    """Return whether digests have the types that `Recipe` states: anyone can write a recipe."""
    lists = {"styles", "masks"}
    known = {"content", "styles", "weights", "masks", "init", "enlarge"}
    return (
        isinstance(digests, dict)
        and digests.keys() <= known
        and all(
            isinstance(value, list) == (key in lists)
            and all(isinstance(word, str) for word in (value if key in lists else [value]))
            for key, value in digests.items()
        )
    )


def _check_option_names(options: dict[str, Any], name: str, stylize_version: str) -> None:
    """Check that a recipe has only options that it may set, with plain values and without paths.

    Args:
        options: of the recipe.
        name: of the picture, for the message.
        stylize_version: the version in the recipe, for the message.

    Raises:
        PictureError: there is another option, or a value that is not allowed, as a newer version
            of stylize or a stranger may write.
    """
    known = {field.name for field in fields(Options)} - _UNRECORDED | {"keep_exif"}
    plain_types = (str, int, float, bool, type(None))
    for option, value in options.items():
        is_path = option in WORDS and value not in (*WORDS[option], FILE)
        if option not in known or not isinstance(value, plain_types) or is_path:
            raise PictureError(
                f"{name}: its recipe, by stylize {stylize_version}, has an option that this version"
                f" does not know: {shown(option)}"
            )


def show_recipe(path: str | os.PathLike[str]) -> str:
    """Return the recipe of a picture as JSON on many lines.

    Raises:
        PictureError: as in `read_recipe`.
    """
    return read_recipe(path).text(indent=2)


def _read_text(name: str) -> str:
    """Return the JSON of a picture's recipe, which may be in a text chunk or in XMP.

    Raises:
        PictureError: the file cannot be read, or has no recipe.
    """
    try:
        with (
            warnings_silenced(),  # no pixels are read, so that their number is harmless
            open_regular(name) as file,
        ):
            if file.read(1) == b"{":
                file.seek(0)
                return file.read(_LONGEST_TEXT).decode()
            file.seek(0)
            with Image.open(file, formats=WRITABLE) as image:
                chunk, xmp = image.info.get(KEY), image.info.get("xmp")
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture in a format that stylize writes") from error
    except Exception as error:  # Pillow's readers raise many kinds of errors for damaged files
        reason = getattr(error, "strerror", None) or shortened(str(error))
        raise PictureError(f"{name}: cannot be read ({reason})") from error
    text = chunk if isinstance(chunk, str) else _text_in_xmp(xmp)
    if text is None:
        raise PictureError(f"{name}: carries no recipe; it was not made by stylize, or was edited")
    return text


def _text_in_xmp(packet: object) -> str | None:
    """Return the recipe's JSON in an XMP packet; None if there is none.

    It may be an attribute or an element: programs that edit XMP turn the one into the other.
    """
    try:
        # Given as text, XML is in no other encoding than this, whatever it says.
        text = packet.decode("utf-8-sig") if isinstance(packet, bytes) else packet
        # A document type could define entities, which a stranger's file could use for an attack.
        if not isinstance(text, str) or "<!DOCTYPE" in text:
            return None
        for element in ElementTree.fromstring(text.strip("\0")).iter():
            if element.tag == f"{{{_XMP_NAMESPACE}}}recipe":
                return element.text
            if recipe := element.get(f"{{{_XMP_NAMESPACE}}}recipe"):
                return recipe
    except (ElementTree.ParseError, LookupError, ValueError):
        pass  # not XML, or not in UTF-8
    return None
