"""The example notebook, run from its first cell to its last on tiny pictures."""

import json
from typing import Any

import pytest
from conftest import ROOT

from stylize.transfer import objective, terms

NOTEBOOK = ROOT / "figs" / "notebook.ipynb"


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(terms, "TERMS", terms.TERMS.copy())
    monkeypatch.setattr(objective, "TERMS", terms.TERMS)
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    sizes = "SIZE, ITERATIONS = 128, 50"
    assert sizes in code
    names: dict[str, Any] = {}
    exec(compile(code.replace(sizes, "SIZE, ITERATIONS = 32, 3"), str(NOTEBOOK), "exec"), names)

    rebuilt = [place.images[0].get_array() for place in names["plt"].figure(2).axes]
    assert len({picture.tobytes() for picture in rebuilt}) == 10
    colour = [losses.terms["colour"] for losses in names["orange"].losses]
    assert colour[-1] < colour[0]
    assert "colour" not in names["runs"]["adam"].losses[0].terms
    assert [line.get_label() for line in names["axes"].lines] == ["lbfgs", "adam"]
    names["plt"].close("all")
