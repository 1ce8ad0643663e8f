"""The worked example of transfer/README.md: a term that a reader adds to the objective."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conftest import ROOT, to_tensor

from stylize import OptionError, Stylizer
from stylize.transfer import objective, terms
from stylize.transfer.job import Job
from stylize.transfer.styles import shown_size
from stylize.transfer.targets import find_targets

ROOM = ROOT / "src" / "stylize" / "transfer"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs the README's example; gives its class."""
    monkeypatch.setattr(terms, "TERMS", terms.TERMS.copy())
    monkeypatch.setattr(objective, "TERMS", terms.TERMS)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOM / "README.md").read_text(), re.S)
    namespace: dict[str, Any] = {}
    exec(example, namespace)
    return namespace["DeviationsTerm"]


def test_the_term_is_minimised_and_reported(added: Any, photo: str, painting: str) -> None:
    stylizer = Stylizer(size=48, iterations=15, device="cpu", precision="float32", scales=1)
    losses = stylizer(photo, painting).losses
    assert list(losses[0].as_dict()) == ["content", "style", "tv", "gamut", "deviations", "total"]
    weights = {"content": 1, "style": 1, "tv": 0, "gamut": 1, "deviations": 1}
    for each in losses:
        total = sum(weights[name] * value for name, value in each.terms.items())
        assert each.total == pytest.approx(total)
    added.build = classmethod(lambda cls, targets: [])
    without = stylizer(photo, painting)
    image = to_tensor(without.image, (48, 32))
    assert losses[-1].terms["deviations"] < 0.9 * value_at(stylizer, image, photo, painting)


def value_at(stylizer: Stylizer, image: torch.Tensor, photo: str, painting: str) -> float:
    """The example's loss at a picture, written out once more."""
    job = Job.prepare(stylizer.options, photo, [painting])
    layers = job.style_layers
    shown = shown_size(job, job.styles[0], (48, 32))
    style = stylizer.vgg(to_tensor(painting, shown), layers)
    ours = stylizer.vgg(image, layers)
    targets = {k: deviation(style[k]) for k in layers}
    losses = [
        (deviation(ours[k]) - targets[k]).square().sum() / targets[k].square().sum() for k in layers
    ]
    return float(sum(losses))


def deviation(features: torch.Tensor) -> torch.Tensor:
    return features.flatten(2).std(2, correction=0)


def test_its_gradient_is_that_of_its_value(added: Any, photo: str, painting: str) -> None:
    """By finite differences along the gradient, in the term's layer."""
    stylizer = Stylizer(size=32, device="cpu", precision="float32", style_layers="relu2_1")
    job = Job.prepare(stylizer.options, photo, [painting])
    (term,) = added.build(find_targets(stylizer.vgg, stylizer.cache, job, job.size))
    values = torch.rand(1, 128, 8, 6)
    gradient = torch.zeros_like(values)
    everywhere = slice(None)
    term.add_gradient(values, gradient, everywhere, term.sums(values, everywhere), 3.0)
    values, length = values.double(), gradient.norm().item()
    term.target = term.target.double()
    step = 1e-3 * gradient.double() / length

    def value(at: torch.Tensor) -> float:
        difference = deviation(at) - term.target
        return 3 * float(difference.square().sum() / term.target.square().sum())

    slope = (value(values + step) - value(values - step)) / 2e-3
    assert slope == pytest.approx(length, rel=1e-4)


def test_a_term_that_is_there_twice_is_refused(added: Any, photo: str, painting: str) -> None:
    terms.TERMS.append(type(added.__name__, (added,), {}))  # as by a notebook's cell that ran twice
    with pytest.raises(OptionError, match=r"^DeviationsTerm is in terms.TERMS twice; remove one$"):
        Stylizer(size=32, device="cpu")(photo, painting)


def test_the_table_lists_the_modules_in_the_order_of_their_imports() -> None:
    listed = re.findall(r"^\| `(\w+)\.py` \|", (ROOM / "README.md").read_text(), re.M)
    assert set(listed) == {path.stem for path in ROOM.glob("*.py")} - {"__init__"}
    for place, module in enumerate(listed):
        text = (ROOM / f"{module}.py").read_text()
        imported = set(re.findall(r"^from \.(\w+) import", text, re.M))
        for names in re.findall(r"^from \. import (.+)$", text, re.M):
            imported |= set(names.split(", "))
        assert imported <= set(listed[:place]), module
