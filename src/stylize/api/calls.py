"""`stylize` and `Stylizer`: pictures and named options in, a `Result` out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Unpack

from ..callbacks.progress import Bar
from ..errors import OptionError, shown
from ..images.picture import GivenPicture, Source, load_picture
from ..settings.checks import check_names
from ..settings.options import Options
from ..transfer import stylizer
from ..transfer.job import Job
from ..transfer.result import Result
from ..transfer.step import Callback
from .keywords import AllOptions, PictureOptions, Shown, documented, signed

log = logging.getLogger(__name__)

#: Arguments that are not options. Who misspells one should be led to it.
ARGUMENTS = ("preset", "on_step", "progress")


@documented
@signed(AllOptions)
def stylize(
    content: Source,
    *styles: Source,
    preset: str | None = None,
    on_step: Callback | None = None,
    progress: bool = False,
    **options: Unpack[AllOptions],
) -> Result:
    """Paint a content image in the style of another image.

    In the place of a picture's path, also in options, there may be an open binary file, a PIL image
    or an array: H x W or H x W x 3 or 4, of levels 0 to 255 or floats in [0, 1].

    Ctrl-C, or the button that interrupts a cell, ends the run with the picture so far, whose
    `complete` is False. In a loop over many pictures, look at that.

    Args:
        content: the content image.
        *styles: the style image; several are mixed as `blend` says, or placed by a `mask` for each.
        preset: a named set of options, a key of `stylize.PRESETS`.
        on_step: called with a `Step` after each evaluation; by returning `stylize.STOP` it ends the
            run.
        progress: whether to show a progress bar.
        **options: see below; they win over the preset.

    Raises:
        StylizeError: one of its subclasses, whose message names the file or option at fault.
        KeyboardInterrupt: after Ctrl-C before there is a picture.
    """
    chosen = _chosen(None, preset, options)
    job = Job.prepare(chosen, content, styles)
    return Stylizer(chosen)._paint(job, on_step, progress)


@documented
class Stylizer(stylizer.Stylizer):
    """The network, loaded once for many pictures. Calling it paints one.

    It remembers the styles that it has seen.

    Args:
        options: how to paint; not together with `preset`.
        preset: a named set of options, a key of `stylize.PRESETS`.
        **given: see below; they win over those of `options` or `preset`.

    Raises:
        OptionError: a value is out of range.
        WeightsError: the weights cannot be loaded.
        DeviceError: there is no such device.
    """

    @signed(AllOptions)
    def __init__(
        self,
        options: Options | None = None,
        *,
        preset: str | None = None,
        **given: Unpack[AllOptions],
    ) -> None:
        super().__init__(_chosen(options, preset, given))
        self._remarks: set[str] = set()

    def __repr__(self) -> str:
        return repr(self.options).replace("Options", "Stylizer", 1)

    @signed(PictureOptions, default=Shown("<as before>"))
    def __call__(
        self,
        content: Source,
        *styles: Source,
        on_step: Callback | None = None,
        progress: bool = False,
        **changes: Unpack[PictureOptions],
    ) -> Result:
        """Paint one picture.

        Args:
            content: the content image, as in `stylize`.
            *styles: the style image, or several.
            on_step: as in `stylize`.
            progress: whether to show a progress bar.
            **changes: options that differ for this picture.

        Raises:
            StylizeError: one of its subclasses.
            KeyboardInterrupt: after Ctrl-C before there is a picture.
        """
        if "preset" in changes:
            raise OptionError("preset: is given when the Stylizer is made: Stylizer(preset=...)")
        job = Job.prepare(_chosen(self.options, None, changes), content, styles)
        return self._paint(job, on_step, progress)

    def _paint(self, job: Job, on_step: Callback | None, progress: bool) -> Result:
        for remark in job.options.without_effect(len(job.styles) == 1):
            if remark not in self._remarks:  # once, not for each picture
                log.warning("%s", remark)
                self._remarks.add(remark)
        job = self.fit_to_memory(job)
        with Bar(os.path.basename(job.content.path), hidden=not progress) as bar:
            return self.paint(job, [bar, *([on_step] if on_step else [])], keep_interrupted=True)


def _chosen(options: Options | None, preset: str | None, given: Mapping[str, Any]) -> Options:
    """The options that were asked for.

    Raises:
        OptionError: there is no such option, or a value is not valid, or `options` is of
            another type.
        PictureError: a picture among them cannot be read.
    """
    check_names(given, (*(option.name for option in fields(Options)), *ARGUMENTS))
    values = dict(given)
    for name in values.keys() & {"init", "enlarge"}:
        values[name] = _path(values[name], f"{name} picture")
    if "mask" in values:
        mask = values["mask"] if values["mask"] is not None else ()
        masks = mask if isinstance(mask, (list, tuple)) else [mask]
        values["mask"] = tuple(_path(m, f"mask {place}") for place, m in enumerate(masks, 1))
    if options is None:
        return Options.from_preset(preset, **values)
    if not isinstance(options, Options):
        raise OptionError(
            f"options: give Options, not {shown(options)}; named options go behind **, as in"
            " Stylizer(**options)"
        )
    if preset is not None:
        raise OptionError("give either options or a preset, not both")
    return options.replace(**values)


def _path(source: Source, name: str) -> Any:
    """What an option takes as a path, for a picture in any of the forms of `Source`."""
    is_path = source is None or isinstance(source, (str, os.PathLike))
    return source if is_path else GivenPicture(load_picture(source, name))
