"""The skin of the command line: verbs, errors, exit codes."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from convatlas.cli import VERBS, main


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convatlas", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def code_of(*args: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return caught.value.code


def test_help_lists_every_verb_without_torch() -> None:
    script = (
        "import sys; from convatlas.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as done: assert done.code == 0\n"
        "loaded = {'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(verb, "--help") == 0
    assert f"convatlas {verb} " in capsys.readouterr().out.replace("Usage: ", "", 1)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["lst"], "convatlas: no verb named 'lst'; did you mean: list?"),
        (["show", "resnet5O"], "did you mean: resnet50"),
        (["show", "resnet50", "--inptu", "3x64x64"], "--input"),
        (["train", "resnet5O", "--data", "digits"], "did you mean: resnet50"),
        (["train", "lenet5", "--data", "digit"], "did you mean: digits"),
        (["train", "lenet5"], "--data"),
        (["show"], "NAME"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_nearest(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert line in err


def test_debug_shows_the_traceback_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("show", "resnet5O", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def broken_verb(monkeypatch):
    """Give `broken_verb(call)`: the verb `list` does this instead of its work."""
    import click

    from convatlas.cli import list_networks

    def replace(call) -> None:
        monkeypatch.setattr(list_networks, "command", click.command("list")(call))

    return replace


def test_a_warning_is_one_line_without_its_place(broken_verb, capsys) -> None:
    def warn() -> None:
        warnings.warn("the last layer\nstarts afresh", UserWarning, stacklevel=1)

    broken_verb(warn)
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert code_of("list") == 0
    assert capsys.readouterr().err == "convatlas: the last layer starts afresh\n"
    assert warnings.showwarning is before


def test_no_memory_is_one_line(broken_verb, capsys) -> None:
    def fail() -> None:
        raise MemoryError

    broken_verb(fail)
    assert code_of("list") == 2
    assert capsys.readouterr().err.startswith("convatlas: memory ran out: free some")


def test_idle_threads_sleep_but_where_speed_is_measured(monkeypatch) -> None:
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if given is not None:
            monkeypatch.setenv("OMP_WAIT_POLICY", given)
        assert code_of("bench", "--help") == 0
        assert os.environ.get("OMP_WAIT_POLICY") == given  # its processes compute alone
        assert code_of("--version") == 0
        assert os.environ["OMP_WAIT_POLICY"] == expected


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m convatlas show resnet152 | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    command = f"{sys.executable} -m convatlas show lenet5 > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "convatlas: can't write the output: No space left on device\n"


def test_version() -> None:
    from convatlas import __version__

    assert run("--version").stdout.strip() == f"convatlas, version {__version__}"
