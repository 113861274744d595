"""Every block of code in the README and the docs runs, and prints what the page says."""

import re
import shlex
from pathlib import Path

import pytest

from convatlas.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")])
# these train, download or need a run: tests of their own cover them
NOT_HERE = re.compile(
    r"convatlas (train|evaluate|predict|segment|visualize|convert|export|bench|serve)\b"
    r"|convatlas study \w|--plot|^(make|git|pip|python) "
)


def pages_with(language: str) -> list[pytest.param]:
    """Give the pages that have blocks of a language, each with its blocks in order."""
    pages = {
        str(page.relative_to(REPOSITORY)): re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S
        )
        for page in PAGES
    }
    return [pytest.param(blocks, id=name) for name, blocks in pages.items() if blocks]


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into commands and what each prints."""
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def matches(expected: str, printed: str) -> bool:
    """Compare line by line; a line `...` stands for any number of lines."""
    expected_lines = [line.rstrip() for line in expected.strip().splitlines()]
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "..." else re.escape(line) for line in expected_lines
    )
    text = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize("blocks", pages_with("python"))
def test_python_blocks_run_one_after_the_other(
    blocks: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    for block in blocks:
        exec(compile(block, "docs", "exec"), names)


@pytest.mark.parametrize("blocks", pages_with("console"))
def test_console_blocks_print_what_the_page_says(
    blocks: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    for command, expected in (found for block in blocks for found in commands(block)):
        if NOT_HERE.search(command):
            continue
        words = shlex.split(command, comments=True)
        assert words[0] in ("convatlas", ".venv/bin/convatlas"), command
        with pytest.raises(SystemExit) as ended:
            main(words[1:])
        printed = capsys.readouterr().out
        assert ended.value.code == 0, command
        if expected.strip():
            assert matches(expected, printed), f"{command}\nprinted\n{printed}"


def test_a_block_that_prints_something_else_is_noticed() -> None:
    assert matches("a\n...\nz", "a\nb\nc\nz\n")
    assert matches("a\n...", "a\nb\n")
    assert not matches("a\nz", "a\nb\nz\n")
    assert not matches("a", "a\nb\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
