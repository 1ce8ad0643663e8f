"""Every way a run can fail, each with the exit code that the command ends with."""


class StylizeError(Exception):
    """The base of all errors that stylize raises on purpose.

    The message is one line: it names the file or option and says what to do.

    Attributes:
        exit_code: what the `stylize` command exits with (the table is in the README).
    """

    exit_code = 1


class OptionError(StylizeError):
    """An option is out of range, or two options contradict each other."""

    exit_code = 2


class PictureError(StylizeError):
    """An input picture cannot be read, or does not suit the network."""

    exit_code = 3


class OutputError(StylizeError):
    """The result cannot be written where it was asked for."""

    exit_code = 4


class WeightsError(StylizeError):
    """The network's weights are missing, corrupted, or not those of a VGG-19."""

    exit_code = 5


class DeviceError(StylizeError):
    """The device is not there, or its memory does not suffice."""

    exit_code = 6


class CheckpointError(StylizeError):
    """A checkpoint cannot be read, or is of another run."""

    exit_code = 3


class OptimizationError(StylizeError):
    """The loss is not a finite number, so there is nothing to minimise."""

    exit_code = 7
