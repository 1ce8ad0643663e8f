"""The first moments of the command: signals, standard streams, variables at which torch aborts.

It imports nothing that takes long, so that Ctrl-C is silent almost from the start.
"""

import io
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

from ..errors import ExitCode

#: Variables at whose mistakes torch aborts the process while it is imported.
_ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
#: Their common values, for which torch need not be asked.
_COMMON = (
    r"expandable_segments:(True|False)|max_split_size_mb:[1-9]\d{2,}|backend:native"
    r"|garbage_collection_threshold:0\.\d+"
)
_GOOD_VALUE = re.compile(f"({_COMMON})(,({_COMMON}))*")

#: Whether descriptors 1 and 2, to which libraries in C write, lead nowhere.
_libraries_hidden = False


def main() -> None:
    """Run the command, and exit with its code."""
    _at_ctrl_c(_exit_silently)
    _open_closed_streams()
    _hide_libraries()
    if message := _faulty_variable():
        if sys.stderr is not None:
            sys.stderr.write(f"stylize: {message}\n")
        sys.exit(ExitCode.USAGE)
    from .main import command

    _at_ctrl_c(signal.default_int_handler)
    try:
        command(prog_name="stylize")
    finally:
        _at_ctrl_c(signal.SIG_DFL)  # Python would print a traceback while it exits


def _at_ctrl_c(action: "Callable[..., Any] | signal.Handlers") -> None:
    # A shell starts background commands with Ctrl-C ignored, and it must stay so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, action)


def _exit_silently(*_: object) -> None:
    os._exit(ExitCode.INTERRUPTED)


def _open_closed_streams() -> None:
    """Let descriptors 0 to 2, if they are closed, lead nowhere.

    Otherwise the next files would get these numbers, and be written by whatever prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number


def _hide_libraries() -> None:
    """Give the command's output and messages other descriptors, and let 1 and 2 lead nowhere.

    Libraries in C write to 1 and 2: into the picture, or beside the one line that an error is.
    """
    global _libraries_hidden
    if os.name != "posix":  # elsewhere it has not been tried
        return
    sys.stdout = _with_own_descriptor(sys.stdout)
    sys.stderr = _with_own_descriptor(sys.stderr, buffered=False)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    _libraries_hidden = True


def show_libraries() -> None:
    """Let what libraries in C write, which `main` hides, go to standard error."""
    if _libraries_hidden and sys.stderr is not None:
        for number in (1, 2):
            os.dup2(sys.stderr.fileno(), number)


def _with_own_descriptor(stream: Any, buffered: bool = True) -> Any:
    """A copy of a standard stream; None for None, Python's value for a closed one."""
    return stream and io.TextIOWrapper(
        open(os.dup(stream.fileno()), "wb", buffering=-1 if buffered else 0),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through or not buffered,
    )


def _faulty_variable() -> str:
    """A message about a variable at which torch aborts; "" if there is none."""
    for name in _ALLOCATOR_VARIABLES:
        value = os.environ.get(name)
        if value and not _GOOD_VALUE.fullmatch(value):
            import subprocess  # only here, because it takes a while to load

            torch = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True)
            if torch.returncode < 0:
                return f"{name}={value!a}: torch cannot be loaded with it; correct or unset it"
    return ""
