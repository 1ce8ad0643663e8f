"""The house: which way the imports go, what is public, and what must not need torch."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import stylize

SOURCE = ROOT / "src" / "stylize"

#: The house, from the bottom up: a module imports from rooms before its own, and from its own.
ROOMS = ("errors", "files", "network", "settings", "images", "transfer", "callbacks", "cli")
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


def imports(module: Path) -> set[str]:
    """All that a module imports, wherever in its text, by full name: `stylize.errors`, `torch`."""
    found: set[str] = set()
    package = ["stylize", *module.parent.parts]
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            path = ".".join([*base, *([node.module] if node.module else [])])
            # `from ..images import picture` names a module, `from ..errors import X` does not.
            found |= {f"{path}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_run_one_way(module: Path) -> None:
    if len(module.parts) == 1 and module.stem not in ROOMS:
        return  # __init__ and __main__, which are above all rooms
    room = module.parts[0].removesuffix(".py")
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for name in imports(module):
        if name.startswith("stylize."):
            assert name.split(".")[1] in allowed, f"{module} imports {name}"


def test_every_module_is_in_a_room() -> None:
    there = {module.parts[0].removesuffix(".py") for module in MODULES}
    assert there - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_torch_is_imported_in_two_rooms(module: Path) -> None:
    if module.parts[0] not in ("network", "transfer"):
        roots = {name.split(".")[0] for name in imports(module)}
        assert not roots & {"torch", "torchvision"}


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
        "import sys, stylize; from stylize.cli.main import command\n"
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
        "import sys; from stylize.cli.main import command\n"
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
        assert "stylize.cli.main" in imported
        assert "torch" not in imported
        return ran.stdout

    assert "plain,--style-weight" in complete("stylize a.jpg --style-w")
    assert "plain,adam" in complete("stylize a.jpg --optimizer ")
    assert complete("stylize a.j").startswith("file,")
