"""What `make tables` makes: pages, tables and pictures stand as the code would make them now."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from convatlas.catalog import ARCHITECTURES

REPOSITORY = Path(__file__).resolve().parent.parent
PAPERS = [architecture.name for architecture in ARCHITECTURES]


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    """Import the script that writes the docs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "docs"))
        yield importlib.import_module("tables")


@pytest.fixture(scope="module")
def printed() -> dict[str, tuple[int, int]]:
    """Parameters and MACs of every network, as docs/networks.md prints them."""
    page = (REPOSITORY / "docs/networks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,]+) \|", page, re.M)
    return {name: (int(a.replace(",", "")), int(b.replace(",", ""))) for name, a, b in rows}


def test_every_page_says_what_the_code_says(
    tables: ModuleType, printed: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
):
    # counting every network takes long: see the next tests; for the claims, tests/test_claims.py
    monkeypatch.setattr(tables, "catalog_costs", lambda: printed)
    assert sorted(tables.out_of_date(None)) == [], "make tables"


def test_the_main_network_of_each_paper_costs_what_is_printed(
    tables: ModuleType, printed: dict[str, tuple[int, int]]
):
    pictures = importlib.import_module("pictures")
    for name in pictures.MAIN.values():
        report = pictures.report_of(name)
        assert printed[name] == (report.params, report.macs), name


@pytest.mark.slow
def test_every_network_costs_what_is_printed(
    tables: ModuleType, printed: dict[str, tuple[int, int]]
):
    assert printed == tables.catalog_costs()


@pytest.mark.parametrize("paper", PAPERS)
def test_what_is_written_by_hand_of_a_network_is_what_it_costs(
    paper: str, printed: dict[str, tuple[int, int]]
):
    """A row that begins with a network's name gives its parameters and MACs, as far as it does."""
    page = (REPOSITORY / f"docs/architectures/{paper}.md").read_text(encoding="utf-8")
    by_hand, _, _ = page.partition("<!-- from the code")
    for name, rest in re.findall(r"^\| `(\w+)` \|(.*)$", by_hand, re.M):
        told = {int(n.replace(",", "")) for n in re.findall(r"\b\d{1,3}(?:,\d{3})+\b", rest)}
        if name in printed and told:
            assert told & set(printed[name]), rest
            assert len(told) < 2 or set(printed[name]) <= told, rest


def test_every_picture_shows_what_the_code_says(tables: ModuleType):
    pytest.importorskip("matplotlib")
    assert sorted(tables.old_pictures()) == [], "make tables"


@pytest.mark.parametrize("name", ["gap_study.svg", "googlenet_block.svg", "lineage.svg"])
def test_a_picture_drawn_again_is_the_same_file(tables: ModuleType, name: str, tmp_path: Path):
    matplotlib = pytest.importorskip("matplotlib")
    kept = (REPOSITORY / "docs/images/networks" / name).read_text(encoding="utf-8")
    if f"Matplotlib v{matplotlib.__version__}," not in kept:
        pytest.skip("drawn by another version of matplotlib")
    _, draw = tables.every_picture()[f"docs/images/networks/{name}"]
    draw(tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8") == kept, "docs/tables.py --redraw"


def test_every_paper_has_a_picture_of_its_main_network(tables: ModuleType):
    known = tables.every_picture()
    assert [paper for paper in PAPERS if f"docs/images/networks/{paper}.svg" not in known] == []


def test_pictures_are_light_and_well_formed():
    for path in (REPOSITORY / "docs/images/networks").glob("*.svg"):
        assert path.stat().st_size < 100_000, path.name
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_no_picture_is_left_over(tables: ModuleType):
    kept = {
        f"docs/images/networks/{path.name}"
        for path in Path(REPOSITORY).glob("docs/images/networks/*")
    }
    assert kept == set(tables.every_picture())


def test_what_stands_between_markers_is_renewed_and_the_rest_is_kept(tables: ModuleType):
    page = "by hand\n<begin>\nold\n<end>\nby hand too\n"
    assert tables.renewed(page, ("<begin>\n", "<end>\n"), "new\n") == page.replace("old", "new")
    with pytest.raises(ValueError, match="the page has no <other>"):
        tables.renewed(page, ("<other>\n", "<end>\n"), "new\n")


def test_a_page_and_a_picture_that_are_old_are_named(
    tables: ModuleType,
    printed: dict[str, tuple[int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("README.md", *(f"docs/architectures/{paper}.md" for paper in PAPERS)):
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((REPOSITORY / name).read_bytes())
    page = tmp_path / "docs/architectures/vgg.md"
    changed = page.read_text(encoding="utf-8").replace("| `vgg16` |", "| `vgg17` |")
    page.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(tables, "REPOSITORY", tmp_path)
    monkeypatch.setattr(tables, "catalog_costs", lambda: printed)
    pages = tables.paper_pages(None)
    assert [name for name, text in pages.items() if tables.is_old(name, text)] == [
        "docs/architectures/vgg.md"
    ]
    picture = tmp_path / "old.svg"
    assert not tables.is_current(picture, "all")
    picture.write_text("<svg>a &amp; b</svg>", encoding="utf-8")
    assert tables.is_current(picture, "a & b")
    assert not tables.is_current(picture, "a and b")


def test_the_page_of_the_lineage_has_a_step_for_every_paper():
    page = (REPOSITORY / "docs/lineage.md").read_text(encoding="utf-8")
    steps = re.findall(r"^### \d{4}: \[.*\]\(architectures/(\w+)\.md\)$", page, re.M)
    assert steps == PAPERS[1:]  # in order of publication; the oldest has no older
