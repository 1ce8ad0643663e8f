"""What a .pth file would make torch allocate and call, found before torch unpickles it.

`torch.load(weights_only=True)` runs no code from a file, but takes what time and memory the file
asks for: a few bytes can stand for gigabytes, or for a number whose hash takes for ever. `check`
goes through a file's pickles step by step, as an unpickler does, but makes no object of them. It
lets pass only what a state dict consists of, and only if the file holds all of its numbers.
"""

import io
import pickletools
import zipfile
from typing import IO, Any

#: The most bytes of all pickles in a file. Those of a VGG-19 have a few thousand.
MOST_BYTES = 2**20
#: The functions that make a state dict, by the names of their modules and their own.
_DICT = "collections OrderedDict"
_FUNCTIONS = {
    _DICT,
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
}
#: Versions of pickles that torch can read without code; it writes the first.
_PROTOCOLS = (2, 3)
#: Bytes of a number, by the type of its storage.
_BYTES = {
    **dict.fromkeys(("torch ByteStorage", "torch BoolStorage", "torch CharStorage"), 1),
    **dict.fromkeys(("torch HalfStorage", "torch BFloat16Storage", "torch ShortStorage"), 2),
    **dict.fromkeys(("torch FloatStorage", "torch IntStorage"), 4),
    **dict.fromkeys(("torch DoubleStorage", "torch LongStorage"), 8),
}
#: The old format, until torch 1.6, has so many pickles: two numbers, a dict about the machine, the
#: state dict, and the list of storages. What they contain follows, each with its length in front.
_OLD_PICKLES, _OLD_LENGTH = 5, 8


def check(file: IO[bytes]) -> None:
    """Check that a file that `torch.save` may have written has nothing in it but a state dict.

    Args:
        file: at its start; it is at another place afterwards.

    Raises:
        Exception: of any kind; the file is damaged, or is not safe to load.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        pickles = io.BytesIO(file.read(MOST_BYTES))
        found = [_storages(pickles) for _ in range(_OLD_PICKLES)]
        needed = sum(sum(storages.values()) + _OLD_LENGTH * len(storages) for storages in found)
        if pickles.tell() + needed > size:
            raise ValueError("it holds less than it promises")
        return
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) < len(archive.infolist()):
            raise ValueError("two entries have one name")
        if any(entry.compress_size != entry.file_size for entry in entries.values()):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise ValueError("its entries overlap")
        (pickled,) = (name for name in entries if name.split("/")[1:] == ["data.pkl"])
        if entries[pickled].file_size > MOST_BYTES:
            raise ValueError("its pickle is too large")
        folder = pickled.removesuffix(".pkl")
        for key, needed in _storages(io.BytesIO(archive.read(pickled))).items():
            if entries[f"{folder}/{key}"].file_size != needed:
                raise ValueError("it holds less than it promises")


class _Made:
    """Stands for an object that an unpickler would make."""


class _MadeDict(_Made):
    """Stands for an OrderedDict."""


class _Name(str):
    """The name of a function or class, after that of its module."""


#: Instructions that push a number, text or name, an empty tuple, or an object that is made.
_PUSH = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"}
_PUSH_MADE = {"EMPTY_DICT", "EMPTY_LIST", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _storages(pickled: io.BytesIO) -> dict[str, int]:
    """Go through one pickle; gives the bytes of each storage that it refers to, by key.

    Raises:
        Exception: of any kind; it is damaged, or is not safe to load.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    storages: dict[str, int] = {}

    def pop(number: int) -> list[Any]:
        if not 0 <= number <= len(stack):
            raise ValueError("its pickle is damaged")
        popped = stack[len(stack) - number :]
        del stack[len(stack) - number :]
        return popped

    def pop_to_mark() -> list[Any]:
        return pop(len(stack) - marks.pop())

    argument: Any
    for instruction, argument, _ in pickletools.genops(pickled):
        name = instruction.name
        if name in _PUSH:
            stack.append(argument)
        elif name in _PUSH_MADE:
            stack.append(_Made())
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name == "GLOBAL":
            if argument not in _FUNCTIONS and argument not in _BYTES:
                raise ValueError("it contains something else than tensors")
            stack.append(_Name(argument))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in _TUPLES:
            stack.append(tuple(pop(_TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name in ("SETITEM", "SETITEMS"):
            keys = (pop(2) if name == "SETITEM" else pop_to_mark())[::2]
            _check_plain(keys)
        elif name in ("APPEND", "APPENDS"):
            _check_plain(pop(1) if name == "APPEND" else pop_to_mark())
        elif name == "REDUCE":
            function, arguments = pop(2)
            known = isinstance(function, _Name) and function in _FUNCTIONS
            if not known or (function == _DICT and arguments != ()):
                raise ValueError("it contains something else than tensors")
            stack.append(_MadeDict() if function == _DICT else _Made())
        elif name == "BUILD":
            target, _ = pop(2)
            if not isinstance(target, _MadeDict):
                raise ValueError("it contains something else than tensors")
            stack.append(target)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "BINPERSID":
            key, needed = _storage(*pop(1)[0])
            if storages.setdefault(key, needed) != needed:
                raise ValueError("two storages have one name")
            stack.append(_Made())
        elif name != "STOP" and (name != "PROTO" or argument not in _PROTOCOLS):
            raise ValueError("it contains something else than tensors")
    return storages


def _check_plain(values: list[Any]) -> None:
    """Check keys and items: the hash of a tuple of tuples of tuples can take for ever.

    Raises:
        ValueError: one of them is neither a text nor a number.
    """
    if not all(isinstance(value, (str, int)) for value in values):
        raise ValueError("it contains something else than tensors")


def _storage(
    kind: Any, type: Any, key: Any, place: Any, numbers: Any, *view: Any
) -> tuple[str, int]:
    """The key of a storage, and its bytes.

    Raises:
        ValueError: it is none.
    """
    plain = kind == "storage" and isinstance(type, _Name) and type in _BYTES
    plain = plain and isinstance(key, str) and isinstance(place, str)
    if not (plain and isinstance(numbers, int) and numbers >= 0 and len(view) <= 1):
        raise ValueError("it contains something else than tensors")
    return key, numbers * _BYTES[type]
