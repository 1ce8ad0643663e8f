"""Which modules may import which, what is public, and what works without loading torch."""

import ast
import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ROOT

import stylize

SOURCE = ROOT / "src" / "stylize"
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))

#: The packages and modules of `stylize` from the bottom up. Each imports from itself and from
#: those before it.
ORDER = (
    "errors",
    "silence",
    "files",
    "network",
    "settings",
    "images",
    "transfer",
    "callbacks",
    "api",
    "cli",
)
#: These two are above all others.
ENTRIES = ("__init__", "__main__")


def top_name(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """The full names of all that a module imports, also inside functions: `stylize.errors`."""
    names: set[str] = set()
    package = ["stylize", *module.parent.parts]
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            path = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import files` names a module, `from ..errors import X` does not.
            names |= {f"{path}.{alias.name}" for alias in node.names}
    return names


def test_every_module_has_a_place_in_the_order() -> None:
    assert {*map(top_name, MODULES)} == {*ORDER, *ENTRIES}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_its_own_package_and_those_before_it(module: Path) -> None:
    name = top_name(module)
    allowed = ORDER if name in ENTRIES else ORDER[: ORDER.index(name) + 1]
    own = [imported.split(".")[1] for imported in imports(module) if imported[:8] == "stylize."]
    assert set(own) <= set(allowed)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_torch_is_imported_in_network_and_transfer_alone(module: Path) -> None:
    if module.parts[0] not in ("network", "transfer"):
        assert not {name.split(".")[0] for name in imports(module)} & {"torch", "torchvision"}


def test_all_public_names_are_listed_and_documented() -> None:
    names = stylize.__all__
    assert names == sorted(names, key=lambda name: (name.islower(), not name.isupper(), name))
    assert dir(stylize) == sorted([*names, "__version__"])
    for name in names:
        assert name.isupper() or inspect.getdoc(getattr(stylize, name)), name
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
def test_torch_is_not_loaded_for_help_or_an_error(args: str) -> None:
    code = (
        "import sys, stylize; from stylize.cli.main import command\n"
        "try: command(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *args.split()], cwd=ROOT, capture_output=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_torchvision_is_not_loaded_to_paint(photo: str, painting: str, tmp_path: Path) -> None:
    """Importing it takes as long as importing torch, and only one address is needed from it."""
    code = (
        "import sys; from stylize.cli.main import command\n"
        "try: command(sys.argv[1:])\n"
        "except SystemExit as end: sys.exit(end.code or 3 * ('torchvision' in sys.modules))"
    )
    args = f"{photo} {painting} -o {tmp_path}/out.png -s 32 -n 1"
    process = subprocess.run([sys.executable, "-c", code, *args.split()], capture_output=True)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "out.png").is_file()


def test_shell_completion_lists_options_and_choices_without_loading_torch() -> None:
    def complete(words: str) -> str:
        """What bash would be given."""
        env = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        code = (
            "import sys; from stylize.cli.startup import main\n"
            "try: main()\n"
            "finally: print(*sys.modules, file=sys.stderr)"
        )
        process = subprocess.run(
            [sys.executable, "-c", code],
            env={**env, "_STYLIZE_COMPLETE": "bash_complete"},
            capture_output=True,
            text=True,
            check=False,
        )
        imported = process.stderr.split()
        assert "stylize.cli.main" in imported
        assert "torch" not in imported
        return process.stdout

    assert "plain,--style-weight" in complete("stylize a.jpg --style-w")
    assert "plain,adam" in complete("stylize a.jpg --optimizer ")
    assert complete("stylize a.j").startswith("file,")


def test_the_version_is_that_of_the_installed_package() -> None:
    assert stylize.__version__ == version("neural-stylize")
