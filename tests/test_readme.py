"""The README and the manuals agree with the code.

`python tests/test_readme.py` writes the generated tables of the command's manual.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from stylize.cli.main import command
from stylize.errors import ExitCode
from stylize.images.picture import load_picture
from stylize.settings.options import DECLINE, EFFORTS, flag
from stylize.settings.presets import PRESETS, PURPOSES

ROOT = Path(__file__).parent.parent
#: The command's manual, and all others.
MANUAL = "src/stylize/cli/README.md"
DOCUMENTS = ["README.md", "outputs/README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"]
DOCUMENTS += ["figs/README.md", "figs/COMMANDS.md", "tests/README.md", "tests/benchmarks/README.md"]
DOCUMENTS += ["src/stylize/README.md", MANUAL]
DOCUMENTS += [f"src/stylize/{room}/README.md" for room in ("api", "transfer", "network")]
BEGIN = "<!-- {}: written by `python tests/test_readme.py` -->\n"
END = "<!-- end of {} -->\n"


def options_table() -> str:
    """Every option of the command, with its help text."""
    rows = ["| option | default | what it does |", "|---|---|---|"]
    heading = ""
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            group = option.group.title  # type: ignore[attr-defined]
            rows += [f"| **{group}** | | |"] if group != heading else []
            heading = group
            text, _, default = option.help.rstrip("]").partition("  [default: ")
            flags = ", ".join(f"`{name}`" for name in option.opts + option.secondary_opts)
            if isinstance(option.type, click.Choice):
                choices = ", ".join(f"`{choice}`" for choice in option.type.choices)
                text += f" One of {choices}."
            rows.append(f"| {flags} | {default} | {text} |")
    return "\n".join(rows) + "\n"


def presets_table() -> str:
    """Every preset, with the options that it sets."""
    rows = ["| preset | what for | stands for |", "|---|---|---|"]
    for name, options in PRESETS.items():
        shown = (f"{v:g}" if isinstance(v, float) else str(v) for v in options.values())
        typed = " ".join(f"{flag(k)} {v}" for k, v in zip(options, shown, strict=True))
        rows.append(f"| `{name}` | {PURPOSES[name]} | {f'`{typed}`' if typed else ''} |")
    return "\n".join(rows) + "\n"


def with_tables(text: str) -> str:
    """A manual with its generated tables in their present state."""
    for name, table in (("options", options_table()), ("presets", presets_table())):
        before, rest = text.split(BEGIN.format(name))
        text = before + BEGIN.format(name) + table + END.format(name)
        text += rest.split(END.format(name))[1]
    return text


def read(path: str = "README.md") -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def manual() -> str:
    return read(MANUAL)


def test_the_front_page_is_short() -> None:
    assert len(read().encode()) <= 14_000


def test_the_front_page_explains_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = {re.split("[>=]", package)[0] for package in project["dependencies"]}
    table = (ROOT / "README.md").read_text().partition("## Dependencies")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z][^|]*) \|", table, re.M)
    listed = {name.split()[0] for row in rows for name in row.split(", ")}
    assert listed - {"package"} == packages


def test_the_tables_of_options_and_presets_are_up_to_date() -> None:
    assert with_tables(manual()) == manual(), "run python tests/test_readme.py"


def commands() -> list[str]:
    """Every stylize command in the README, in the manual and in outputs/README.md."""
    text = read() + manual() + read("outputs/README.md")
    lines = re.findall(
        r"^(?: +|.*&& |.*\| `?)?(?:\.venv/bin/)?(stylize .+?-o .+?)(?:$| #| \||`)", text, re.M
    )
    return [line for line in lines if "[OPTIONS]" not in line]


def test_the_iterations_of_each_effort_are_those_of_the_options() -> None:
    draft, normal, best = EFFORTS.values()
    words = " ".join(manual().split())
    assert f"run {draft}, {normal} and {best} iterations at the coarsest scale" in words
    assert f"finer one {DECLINE} times as many" in words


def test_the_commands_are_found() -> None:
    assert len(commands()) >= 12


@pytest.mark.parametrize("line", commands())
def test_the_commands_are_valid(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They parse, also with the configuration file shown, and the pictures they name exist."""
    (config,) = re.findall(r"```toml\n(.*?)```", manual(), re.S)
    monkeypatch.chdir(tmp_path)
    Path("stylize.toml").write_text(config)
    args = shlex.split(line)[1:]
    context = command.make_context("stylize", list(args))
    given = {k: v for k, v in context.params.items() if v is not None and v != ()}
    inputs = {"pairs"} if "pairs" in given else {"content", "styles"}
    assert {*inputs, "output"} <= given.keys()
    for word in args:
        if word.startswith(("contents/", "styles/", "figs/")):
            assert (ROOT / word).is_file(), word


#: A stand-in for the command, which parses in the same way and writes an empty result.
STAND_IN = """#!{python}
import os, sys
from stylize.cli.main import command
params = command.make_context("stylize", sys.argv[1:]).params
assert os.path.isfile(params["content"]), params
out = params["output"]
if os.path.isdir(out) or out.endswith("/"):
    os.makedirs(out, exist_ok=True)
    out += os.path.basename(params["content"]) + ".png"
open(out, "w").close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("words", ["for photo in", "| xargs", "wildcard"])
def test_the_scripts_paint_every_photo(words: str, tmp_path: Path) -> None:
    """Also photos with odd names, except in the Makefile, which does not claim that."""
    blocks = re.findall(r"```(?:sh|make)\n(.*?)```", manual(), re.S)
    (script,) = [block for block in blocks if words in block]
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "stylize"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    (tmp_path / "photos").mkdir()
    (tmp_path / "painting.jpg").touch()
    odd = [] if words == "wildcard" else ["a b", "it's", "-o", "ü"]
    for name in ("one", *odd):
        (tmp_path / "photos" / f"{name}.jpg").touch()
    if words == "wildcard":
        (tmp_path / "Makefile").write_text(script)
        script = "make"
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.run(
        script, shell=True, cwd=tmp_path, env=env, capture_output=True, check=True
    )
    assert b"failed" not in process.stdout
    painted = [path.name.partition(".")[0] for path in (tmp_path / "painted").iterdir()]
    assert sorted(painted) == sorted(["one", *odd])


def anchors(path: Path) -> set[str]:
    """What `#...` in a link to a document may be."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_exist(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\(([^)#:]*)(?:#([^):]+))?\)", path.read_text(encoding="utf-8"))
    for target, anchor in links:
        found = path.parent / target if target else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


def test_all_manuals_can_be_reached_from_the_readme() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        path = left.pop()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            targets = re.findall(r"\]\(([^)#:]+)", path.read_text(encoding="utf-8"))
            left += [(path.parent / target).resolve() for target in targets]
    assert {ROOT / name for name in DOCUMENTS} <= reached


def test_the_pictures_of_the_front_page_are_below_3_megabytes() -> None:
    """They should load soon on a phone, too."""
    shown = {ROOT / path for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", read())}
    assert len(shown) > 10
    assert sum(path.stat().st_size for path in shown) < 3e6


def test_every_exit_code_is_in_the_table() -> None:
    assert list(map(int, re.findall(r"^\| (\d+) \|", manual(), re.M))) == sorted(ExitCode)


def test_every_row_of_the_table_of_promises_names_tests_that_exist() -> None:
    _, _, section = manual().partition("## Hostile files and folders")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) > 10
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    defined = {
        name for text in tests for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    }
    for _, _, named in rows[1:]:
        names = set(re.findall(r"`(test_\w+)`", named))
        assert names, named
        assert names <= defined, names - defined


def test_every_row_of_the_table_of_faults_is_shown_by_a_test() -> None:
    table = manual().split("### Faults\n\n")[1].split("\n\n")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    shown = [name for text in texts for name in re.findall(r"mark\.fault\(\"(.+)\"\)", text)]
    assert len(rows) >= 7
    assert set(rows) == set(shown)


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: str, painting: str
) -> None:
    """With the network, on thumbnails, and with few iterations."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", read("src/stylize/api/README.md"), re.S)
    for name in ("photo", "a", "b"):
        load_picture(photo).image.resize((64, 48)).save(f"{name}.jpg")
    for name in ("painting", "other"):
        load_picture(painting).image.resize((64, 48)).save(f"{name}.jpg")
    block = block.replace("iterations=100", "seed=2")
    block = block.replace("on_step=watch", "size=48, on_step=watch")
    block = re.sub(r"size=\d+", "size=48, iterations=4", block)
    exec(compile(block, "README.md", "exec"), {})
    assert {path.name for path in tmp_path.glob("*.*g") if path.stat().st_size} == {
        *("photo.jpg", "painting.jpg", "other.jpg", "a.jpg", "b.jpg"),
        *("out.jpg", "a-painted.png", "b-painted.png"),
    }
    assert Path("film.gif").stat().st_size


def test_ci_runs_the_readmes_test_command() -> None:
    (line,) = re.findall(r"^python3 -m venv .*pytest$", read(), re.M)
    script = (ROOT / ".ci" / "run").read_text().replace("install --quiet", "install")
    assert line in script


if __name__ == "__main__":
    (ROOT / MANUAL).write_text(with_tables(manual()), encoding="utf-8")
