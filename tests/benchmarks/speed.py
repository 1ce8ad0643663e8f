"""Speed, memory and distances beside pastiche 1.6.0, side by side in one run.

    python tests/benchmarks/speed.py [steps] [layers] [command] [memory] [distances]

steps      seconds of one evaluation (network, losses, L-BFGS) at 256, 512 and 1024 pixels square,
           by turns with a step of pastiche and with the convolutions alone: forward and data
           gradient of the 13 up to conv5_1, same type and layout. In bfloat16 and in float32.
layers     milliseconds of single convolutions in float32, by torch's own and by NNPACK, at the
           sizes that they have in pictures of 256 x 171 and 512 x 342.
command    wall time of the bare command at 512 pixels; pastiche --size 512 takes its start, its
           save, and 1000 steps, of which 25 are timed.
memory     peak of resident memory beyond imports, per pixel, after 25 steps.
distances  style and content distance of both results (500 steps of pastiche) in float32, as shares
           of the painting's and the photo's energy, plain network, average and max pooling.

Everything of pastiche's runs in a process of its own. Only the ratios matter.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import stylize  # noqa: F401  # sets GOMP_SPINCOUNT, which torch reads when it is loaded

ROOT = Path(__file__).parent.parent.parent
PHOTO = str(ROOT / "contents" / "astronaut.jpg")
PAINTING = str(ROOT / "styles" / "composition-viii.jpg")
COMMAND = [sys.executable, "-m", "stylize"]
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def evaluations(size: int, precision: str, device: str = "cpu") -> Callable[[], object]:
    """Each call makes one evaluation of a run at a single scale."""
    from stylize import Stylizer
    from stylize.transfer.job import Job
    from stylize.transfer.objective import Objective
    from stylize.transfer.optimize import LBFGS
    from stylize.transfer.start import start_image
    from stylize.transfer.targets import find_targets

    stylizer = Stylizer(size=size, scales=1, device=device, precision=precision)
    job = Job.prepare(stylizer.options, PHOTO, [PAINTING])
    objective = Objective.build(find_targets(stylizer.vgg, stylizer.cache, job, job.size))
    start = start_image(job, job.size).to(stylizer.device)

    def endless() -> Iterator[object]:
        while True:  # start again where a run ends by itself
            optimizer = LBFGS(objective, start, job.options)
            while evaluation := optimizer.step():
                yield evaluation

    run = endless()
    return lambda: next(run)


def convolutions(size: int, precision: str) -> Callable[[], object]:
    """The 13 convolutions, each on an input of its own, and their data gradients."""
    import torch
    from torch.nn.functional import conv2d, conv_transpose2d

    from stylize.network.names import LAYERS
    from stylize.network.vgg import Vgg19
    from stylize.network.weights import load

    vgg = Vgg19(load("oxford"), "avg", dtype=getattr(torch, precision))

    def random(channels: int, side: int) -> torch.Tensor:
        shape = torch.rand(1, channels, side, side).to(vgg.dtype)
        return shape.contiguous(memory_format=torch.channels_last)

    work = []
    for layer in LAYERS[: LAYERS.index("relu5_1") + 1]:
        weight, bias = vgg.convs[layer].weight, vgg.convs[layer].bias
        weight = weight.contiguous(memory_format=torch.channels_last)
        side = size >> (int(layer[4]) - 1)
        work.append((weight, bias, random(weight.shape[1], side), random(weight.shape[0], side)))

    @torch.no_grad()
    def go() -> None:
        for weight, bias, x, _ in work:
            conv2d(x, weight, bias, padding=1)
        for weight, _, _, gradient in reversed(work):
            conv_transpose2d(gradient, weight, padding=1)

    return go


class Pastiche:
    """pastiche in another process; each call is a step."""

    def __init__(self, size: int, photo: str = PHOTO, device: str = "cpu") -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "pastiche", str(size), photo, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.before = float(self.answer())

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ask(self, what: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __call__(self) -> None:
        self.ask("step")

    def end(self) -> float:
        """Its peak memory in bytes."""
        peak = float(self.ask("peak")) - self.before
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()
        return peak


def pastiche_worker(size: int, photo: str, device: str) -> None:
    from pastiche import pastiche

    pastiche.VGG19  # noqa: B018 (imported, and with it torch)
    print(peak_memory(), flush=True)
    artist = pastiche.PasticheArtist(photo, [PAINTING], size=size, device=device)
    for line in sys.stdin:
        if line == "step\n":
            artist.draw()
            print(flush=True)
        elif line == "peak\n":
            print(peak_memory(), flush=True)
        else:
            pastiche.save_image(artist.pastiche, line.rstrip("\n"))
            print(flush=True)


def our_memory(size: int, precision: str) -> None:
    from stylize.transfer.memory import keep_freed_memory

    keep_freed_memory(size**2)  # as the command does
    import stylize.transfer.stylizer  # noqa: F401

    before = peak_memory()
    step = evaluations(size, precision)
    for _ in range(12 if size > 1024 else 25):
        step()
    print((peak_memory() - before) / size**2)


def peak_memory() -> int:
    """In bytes, of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def steps() -> None:
    from stylize.transfer.memory import keep_freed_memory

    for size, rounds in ((256, 9), (512, 7), (1024, 3)):
        keep_freed_memory(size**2)  # as the command does
        names = ["pastiche"]
        things: list[Callable[[], object]] = [Pastiche(size)]
        for precision in ("bfloat16", "float32"):
            names += [precision, f"{precision} convolutions"]
            things += [evaluations(size, precision), convolutions(size, precision)]
        for _ in range(3):  # the first calls choose kernels and fill the memory of L-BFGS
            for thing in things:
                thing()
        rows = [[seconds(thing) for thing in things] for _ in range(rounds)]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        for name, column in columns.items():
            print(f"{size} x {size}, {name}: {statistics.median(column):.3f} s")
        for precision in ("bfloat16", "float32"):
            for other in ("pastiche", f"{precision} convolutions"):
                pairs = zip(columns[precision], columns[other], strict=True)
                ratio = statistics.median(a / b for a, b in pairs)
                print(f"{size} x {size}, {precision} / {other}: {ratio:.2f}")
        things[0].end()  # type: ignore[attr-defined]


def layers() -> None:
    import torch

    from stylize.network import convolution
    from stylize.network.convolution import Convolution

    def milliseconds(conv: Convolution, x: torch.Tensor) -> float:
        return 1000 * min(seconds(lambda: conv(x)) for _ in range(7))

    convolution.LEAST_POSITIONS = 1
    #: Channels in and out, and by what the sides of the picture are divided there.
    kinds = (
        (64, 64, 1), (64, 128, 2), (128, 128, 2), (128, 256, 4), (256, 256, 4),
        (256, 512, 8), (512, 512, 8), (512, 512, 16),
    )  # fmt: skip
    for width, height in ((256, 171), (512, 342)):
        for inputs, outputs, stride in kinds:
            size = (height // stride, width // stride)
            x, weight = torch.rand(1, inputs, *size), torch.randn(outputs, inputs, 3, 3)
            conv = Convolution(weight, torch.zeros(outputs), repeat_border=False)
            by_nnpack = milliseconds(conv, x)
            conv.winograd, conv.weight = False, weight.contiguous(memory_format=torch.channels_last)
            by_torch = milliseconds(conv, x.contiguous(memory_format=torch.channels_last))
            print(
                f"| {inputs} to {outputs} | {size[1]} x {size[0]} | {by_torch:.1f} |"
                f" {by_nnpack:.1f} | {by_torch / by_nnpack:.2f} |"
            )


def command() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.png")
        mine = seconds(
            lambda: subprocess.run(
                [*COMMAND, PHOTO, PAINTING, "-o", out, "-s", "512", "-q"], check=True
            )
        )
        started = time.perf_counter()
        artist = Pastiche(512)
        artist()
        artist.ask(os.path.join(folder, "theirs.png"))
        start = time.perf_counter() - started
        step = statistics.median(seconds(artist) for _ in range(25))
        artist.end()
    theirs = start + 999 * step
    print(f"bare command, 512 x 512: {mine:.1f} s")
    print(f"pastiche: {start:.1f} s and 999 steps of {step:.2f} s make {theirs:.0f} s")
    print(f"ratio: 1/{theirs / mine:.0f}")


def memory() -> None:
    for size in (512, 1024, 2048):
        for precision in ("bfloat16", "float32"):
            arguments = [sys.executable, __file__, "ours", str(size), precision]
            done = subprocess.run(arguments, check=True, capture_output=True, text=True)
            print(f"{size} x {size}, {precision}: {float(done.stdout) / 1000:.2f} kB a pixel")
        if size <= 1024:  # at 2048 pastiche needs more than 24 GB
            artist = Pastiche(size)
            for _ in range(25):
                artist()
            print(f"{size} x {size}, pastiche: {artist.end() / size**2 / 1000:.2f} kB a pixel")


def distances() -> None:
    from stylize.images.picture import load_picture
    from stylize.network.vgg import Vgg19
    from stylize.network.weights import load
    from stylize.transfer.losses import content_loss, mean_gram, style_loss
    from stylize.transfer.scales import style_size
    from stylize.transfer.tensors import to_tensor

    with tempfile.TemporaryDirectory() as folder:
        results = {name: os.path.join(folder, f"{name}.png") for name in ("stylize", "pastiche")}
        arguments = [PHOTO, PAINTING, "-o", results["stylize"], "-s", "512", "-q"]
        subprocess.run([*COMMAND, *arguments], check=True)
        artist = Pastiche(512)
        for _ in range(500):
            artist()
        artist.ask(results["pastiche"])
        artist.end()
        for pooling in ("avg", "max"):
            vgg = Vgg19(load("oxford"), pooling)
            size = load_picture(results["stylize"]).size
            painting = load_picture(PAINTING)
            shown = style_size(painting.size, size, 1.0, 16)
            grams = {k: mean_gram(f) for k, f in vgg(to_tensor(painting, shown), STYLE).items()}
            photo = to_tensor(load_picture(PHOTO), size)
            content = vgg(photo, ["relu4_2"])["relu4_2"]
            for name, path in results.items():
                taps = vgg(to_tensor(load_picture(path), size), [*STYLE, "relu4_2"])
                style = [
                    (style_loss(mean_gram(taps[k]), a) / style_loss(0 * a, a)).item()
                    for k, a in grams.items()
                ]
                lost = content_loss(taps["relu4_2"], content) / content_loss(0 * content, content)
                print(
                    f"{pooling} pooling, {name}: style {statistics.mean(style):.3f}"
                    f" ({', '.join(f'{x:.3f}' for x in style)}), content {lost.item():.3f}"
                )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["pastiche", size, photo, device]:
            pastiche_worker(int(size), photo, device)
        case ["ours", size, precision]:
            our_memory(int(size), precision)
        case wanted:
            import torch

            print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
            for part in (steps, layers, command, memory, distances):
                if not wanted or part.__name__ in wanted:
                    part()
