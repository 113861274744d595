"""The house: the same file names in each room, and what an import may cost."""

import subprocess
import sys
from pathlib import Path

import pytest

import convatlas
from convatlas.catalog import ARCHITECTURES

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "convatlas"
PAPERS = {architecture.name for architecture in ARCHITECTURES}


def stems(folder: Path, pattern: str) -> set[str]:
    return {path.stem for path in folder.glob(pattern) if path.stem != "__init__"}


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        (PACKAGE / "architectures", "*.py"),
        (PACKAGE / "recipes", "*.py"),
        (REPOSITORY / "tests" / "architectures", "test_*.py"),
        (REPOSITORY / "docs" / "architectures", "*.md"),
    ],
    ids=["architectures", "recipes", "tests", "docs"],
)
def test_each_room_has_one_file_for_each_paper_of_the_catalog(folder, pattern):
    found = {stem.removeprefix("test_") for stem in stems(folder, pattern)}
    more = {"modern"} if folder.name == "recipes" else set()  # of no paper of a network
    assert found == PAPERS | more


def test_each_paper_of_the_catalog_has_its_claims():
    claims = stems(PACKAGE / "claims", "*.yaml")
    assert sorted(PAPERS - claims) == []  # there are more: contests, blocks, studies


def test_every_recipe_file_has_recipes():
    for name in PAPERS:
        module = __import__(f"convatlas.recipes.{name}", fromlist=["RECIPES"])
        assert module.RECIPES


def test_no_file_has_a_name_that_collects_everything():
    nothing = {"utils", "util", "helpers", "common", "misc", "base", "core", "tools"}
    assert not nothing & {path.stem for path in PACKAGE.rglob("*.py")}


def test_the_public_names_are_sorted_and_there():
    assert convatlas.__all__ == sorted(convatlas.__all__)
    assert dir(convatlas) == convatlas.__all__
    for name in convatlas.__all__:
        assert getattr(convatlas, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'creat'"):
        convatlas.creat  # noqa: B018


def run(code: str) -> str:
    """Run `code` in a fresh interpreter and tell what it printed last."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_importing_convatlas_does_not_import_torch():
    assert run("import sys, convatlas; print('torch' in sys.modules)") == "False"


def test_help_does_not_import_torch():
    """Of the command line and of each verb."""
    code = """
import sys
from convatlas.cli import VERBS, main

for args in [["--help"], *([verb, "--help"] for verb in VERBS)]:
    try:
        main(args)
    except SystemExit as stop:
        assert stop.code == 0, (args, stop.code)
heavy = {"torch", "numpy", "PIL", "rich", "yaml", "jinja2"} & set(sys.modules)
print(sorted(heavy))
"""
    assert run(code) == "[]"
