"""Every block of the pages runs; Python passes the type checker that checks the packages, too."""

import doctest
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_folder import own_folder

from jaxmarl_core.cli import main
from jaxmarl_core.sweeps.spec import from_dict, variants

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
SLOW = ("opponents", "policies", "tournaments", "your_own")  # they train something
README = ROOT / "README.md"  # its blocks run by `--doctest-glob`
CHECKER = shutil.which("basedpyright", path=Path(sys.executable).parent)
PARSER = doctest.DocTestParser()


def blocks(page: str, languages: str = "python") -> Iterator[tuple[int, str, str]]:
    """Yields (the lines before it, its language, its text) of every ```python block of a page."""
    for found in re.finditer(rf"^```({languages})\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        yield page[: found.start(2)].count("\n"), found[1], found[2]


def run(name: str, page: str) -> int:
    """Runs a page's blocks in order, names carrying over; returns how many.

    Raises what a wrong one raises.

    In a block of "sh" each line is a `jaxmarl-core` command; in "toml" it is a spec.
    """
    names, found = {}, list(blocks(page, "python|sh|toml"))
    for first, language, block in found:
        if language == "sh":
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "jaxmarl-core", line
                main(arguments)
        elif language == "toml":
            variants(from_dict(tomllib.loads(block)))
        elif ">>>" in block:
            test = PARSER.get_doctest(block, {}, name, name, first)
            test.globs = names
            doctest.DebugRunner().run(test, clear_globs=False)
        else:
            exec(compile("\n" * first + block, name, "exec"), names)
    return len(found)


def module(page: str) -> str:
    """Returns a page's Python as one module, every line at the number it has on the page."""
    lines = [""] * (page.count("\n") + 1)
    for first, _, block in blocks(page):
        examples = PARSER.get_examples(block) if ">>>" in block else [doctest.Example(block, "")]
        for example in examples:
            for i, line in enumerate(example.source.splitlines(), first + example.lineno):
                lines[i] = line
    return "\n".join(lines) + "\n"


def type_errors(folder: Path, pages: dict[str, str]) -> list[str]:
    """Returns what the checker says of pages, as "name:line: message"; written to the folder."""
    for name, page in pages.items():
        (folder / f"{name}.py").write_text(module(page))
    settings = {"typeCheckingMode": "basic", "extraPaths": [str(ROOT)], "include": ["."]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [CHECKER, "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=folder).stdout)
    assert said["summary"]["filesAnalyzed"] == len(pages)
    return [
        f"{Path(x['file']).stem}:{x['range']['start']['line'] + 1}: {x['message']}"
        for x in said["generalDiagnostics"]
        if x["severity"] == "error"
    ]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in PAGES],
    ids=lambda page: page.stem,
)
def test_blocks_run(page, tmp_path, monkeypatch):
    """In a folder of its own, with the examples in it."""
    with own_folder(tmp_path, monkeypatch):
        text = page.read_text()
        assert run(page.name, text) == len(
            re.findall(r"^```(?:python|sh|toml)$", text, re.MULTILINE)
        )


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (">>> 1 + 1\n3\n", doctest.DocTestFailure),
        (">>> 1 / 0\n", doctest.UnexpectedException),
        ("assert one == 2\n", AssertionError),
    ],
)
def test_a_wrong_block_is_found(block, error):
    with pytest.raises(error):
        run("page", f"# Title\n\n```python\none = 1\n```\n\n```python\n{block}```\n")


def test_lines_keep_their_numbers():
    page = "# Title\n\n```python\n>>> x = [\n...     1]\n>>> x\n[1]\n```\n\n```python\ny = x\n```\n"
    assert module(page).splitlines()[3:6] == ["x = [", "    1]", "x"]
    assert module(page).splitlines()[10] == "y = x"


@pytest.mark.skipif(CHECKER is None, reason="basedpyright is not installed")
def test_blocks_pass_the_type_checker(tmp_path):
    pages = {page.stem: page.read_text() for page in (README, *PAGES)}
    wrong = '```python\nfrom jaxmarl_core import Schedule\n\nSchedule("many")\n```\n'
    found = type_errors(tmp_path, pages | {"wrong": wrong})
    assert [line for line in found if not line.startswith("wrong:")] == []
    assert any(line.startswith("wrong:4:") for line in found)  # the checker did look
