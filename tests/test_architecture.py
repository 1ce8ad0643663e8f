"""The house: which way the imports go, what is public, and what must not need torch."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import stylize

SOURCE = ROOT / "src" / "stylize"

#: A module may import those of the rooms below it. From src/stylize/README.md.
BELOW = {
    "errors": "",
    "layers": "errors",
    "checks": "errors layers",
    "presets": "",
    "options": "checks errors presets",
    "config": "errors options presets",
    "recipe": "errors options",
    "writing": "errors",
    "decode": "errors",
    "images": "decode errors",
    "output": "errors options recipe writing",
    "pyramid": "errors options",
    "room": "",
    "cost": "errors layers options pyramid",
    "files": "errors images",
    "job": "errors images layers options pyramid",
    "device": "cost errors room",
    "weights": "errors files layers options",
    "vgg": "layers weights",
    "normalized": "images layers pyramid vgg weights",
    "losses": "vgg",
    "result": "losses options output recipe",
    "minimize": "cost errors losses options",
    "color": "",
    "guidance": "layers",
    "targets": "color guidance images job losses pyramid vgg",
    "finish": "color images job targets",
    "checkpoint": "device errors files job losses minimize recipe writing",
    "step": "checkpoint finish job losses pyramid",
    "stylizer": "checkpoint cost device errors finish images job losses minimize normalized"
    " options recipe result step targets vgg weights",
    "progress": "step",
    "film": "errors output step writing",
    "trace": "step writing",
    "console": "errors",
    "interrupt": "",
    "keeper": "checkpoint errors job step stylizer writing",
    "request": "console errors keeper options recipe",
    "standing": "errors files options output recipe request writing",
    "run": "console cost device errors files film images interrupt job keeper options output"
    " recipe request room standing step stylizer trace writing",
    "locks": "writing",
    "folders": "errors files options output",
    "order": "errors folders options output request writing",
    "executors": "errors interrupt",
    "batch": "errors executors files job locks order progress pyramid request run standing"
    " step writing",
    "report": "request run",
    "plan": "batch cost device errors job locks order pyramid report request run",
    "perform": "batch console errors folders interrupt order plan progress report request run"
    " standing step",
    "parameters": "config options",
    "cli": "config console errors film folders interrupt keeper layers options order"
    " parameters perform presets recipe",
    "__init__": "errors losses options presets result step stylizer",
    "__main__": "cli",
}


def imports(module: str) -> set[str]:
    """The modules of stylize that a module imports, wherever in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def test_every_module_has_its_room() -> None:
    assert {path.stem for path in SOURCE.glob("*.py")} == set(BELOW)


@pytest.mark.parametrize("module", BELOW)
def test_arrows_run_downward(module: str) -> None:
    assert imports(module) == set(BELOW[module].split())


def test_the_architecture_note_lists_the_modules_from_the_bottom_up() -> None:
    """Each after all that it imports, as the note says of its table."""
    note = (SOURCE / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)\.py` \|", note, re.M)
    assert set(listed) == set(BELOW) - {"__init__", "__main__"}
    for place, module in enumerate(listed):
        assert set(BELOW[module].split()) <= set(listed[:place]), module


def test_no_circles() -> None:
    order: list[str] = []
    left = {module: set(below.split()) for module, below in BELOW.items()}
    while left:
        free = [module for module, below in left.items() if below <= set(order)]
        assert free, f"a circle among {sorted(left)}"
        order += free
        left = {module: below for module, below in left.items() if module not in free}


def test_all_is_what_is_visible() -> None:
    assert stylize.__all__ == sorted(
        stylize.__all__, key=lambda n: (n.islower(), not n.isupper(), n)
    )
    for name in stylize.__all__:
        thing = getattr(stylize, name)
        assert name.isupper() or inspect.getdoc(thing), name
    assert dir(stylize) == sorted(stylize.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stylize.nothing


@pytest.mark.parametrize(
    "args",
    [
        "--help",
        "--version",
        "--list-layers",
        "a.jpg",
        "a.jpg b.jpg -o c.png --size 1",
        "a.jpg b.jpg c.jpg -o d.png",
        "a.jpg b.jpg -o c.gif",
        "none.jpg none.jpg -o c.png",
        "contents/chelsea.jpg styles/spring.jpg -o c.png -s 16",
        "contents/chelsea.jpg styles/spring.jpg -o c.png --init none.jpg",
        "README.md README.md -o README.md",
        "--print-config",
        "--show-recipe none.png",
        "a.jpg b.jpg -o c.png --config none.toml",
        "contents/chelsea.jpg styles/spring.jpg -o c.png --mask styles/spring.jpg",
        "contents/chelsea.jpg styles/spring.jpg -o c.png --depth 16",
        "contents/chelsea.jpg styles/spring.jpg -o c.png --timelapse c.mov",
        "contents styles -o contents",
        "contents styles -o c.png",
        "contents styles -o contents/chelsea.jpg/c/ --fail-fast",
        "figs/masks README.md -o c/ --pair zip",
    ],
)
def test_answers_without_torch(args: str) -> None:
    code = (
        "import sys, stylize; from stylize.cli import command\n"
        "try: command(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *args.split()], cwd=ROOT, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_paints_without_torchvision(photo: str, painting: str, tmp_path: Path) -> None:
    """Which takes as long as torch to import, and is asked for one address alone."""
    code = (
        "import sys; from stylize.cli import command\n"
        "try: command(sys.argv[1:])\n"
        "except SystemExit as end: sys.exit(end.code or 3 * ('torchvision' in sys.modules))"
    )
    args = f"{photo} {painting} -o {tmp_path}/out.png -s 32 -n 1"
    ran = subprocess.run([sys.executable, "-c", code, *args.split()], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out.png").is_file()


def test_shell_completion_names_options_and_choices() -> None:
    """As bash asks for it; and it too must not wait for torch."""

    def complete(words: str) -> str:
        env = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        ran = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "stylize"],
            env={**env, "_STYLIZE_COMPLETE": "bash_complete"},
            capture_output=True,
            text=True,
            check=False,
        )
        imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
        assert "stylize.cli" in imported
        assert "torch" not in imported
        return ran.stdout

    assert "plain,--style-weight" in complete("stylize a.jpg --style-w")
    assert "plain,adam" in complete("stylize a.jpg --optimizer ")
    assert complete("stylize a.j").startswith("file,")
