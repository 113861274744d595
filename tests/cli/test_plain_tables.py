"""Tables of plain texts, which are drawn without rich, look as rich draws them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text

from convatlas.cli.tables import print_table

CELLS = st.text(st.sampled_from("abc [/]1,.é漢"), max_size=14).map(str.strip)
HEAD = ("name", "a", "what it is")


@pytest.mark.parametrize("terminal", [False, True])
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), width=st.integers(30, 90))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_cells_look_as_rich_draws_them(capsys, monkeypatch, terminal, rows, width):
    monkeypatch.setenv("COLUMNS", str(width))
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(HEAD, rows, right=("a",))
    plain = capsys.readouterr().out.splitlines()
    print_table(HEAD, [[Text(cell) for cell in row] for row in rows], right=("a",))
    assert plain == [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_without_rows_there_is_the_head(capsys):
    print_table(HEAD, [])
    assert capsys.readouterr().out == "name  a  what it is\n"


def test_cells_of_several_lines_are_left_to_rich(capsys):
    print_table(("a", "b"), [("one\ntwo", "three")])
    assert capsys.readouterr().out.splitlines() == ["a    b", "one  three", "two"]
