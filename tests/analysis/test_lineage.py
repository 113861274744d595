"""The family tree: read from imports, completed by what the cards declare."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from convatlas.analysis.lineage import Ancestor, Family, imported, imports_of, lineage
from convatlas.analysis.lineage_chart import describe_lineage, draw_lineage
from convatlas.catalog import ARCHITECTURES
from convatlas.errors import FileError

FAMILIES = {family.name: family for family in lineage()}
ORDER = list(FAMILIES)


def test_every_paper_but_the_oldest_builds_on_an_older_one():
    assert [name for name, family in FAMILIES.items() if not family.ancestors] == ["lenet5"]
    for name, family in FAMILIES.items():
        for ancestor in family.ancestors:
            assert ORDER.index(ancestor.name) < ORDER.index(name)


def test_imports_are_read_from_the_sources():
    assert imports_of("wide_resnet").keys() == {"preact_resnet", "resnet"}
    assert "Inception" in imports_of("bn_inception")["googlenet"]
    assert imports_of("lenet5") == {}
    with pytest.raises(FileError, match=r"lenet6\.py"):
        imports_of("lenet6")


def test_every_way_to_import_counts():
    source = """
from convatlas.architectures import vgg
from convatlas.architectures.resnet import ResNet, Shortcut
from convatlas.layers import ConvNorm
import convatlas.architectures.nin

def late():
    from convatlas.architectures.resnet import BasicBlock
"""
    assert imported(source) == {
        "vgg": (),
        "resnet": ("ResNet", "Shortcut", "BasicBlock"),
        "nin": (),
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_what_a_card_declares_is_of_the_catalog_and_not_said_by_the_code(architecture):
    code = imports_of(architecture.name)
    for name, idea in architecture.builds_on.items():
        assert name in ORDER
        assert name not in code, "the import says so already"
        assert idea.endswith(".")


def test_code_that_comes_by_way_of_another_paper_draws_no_line():
    v4 = FAMILIES["inception_v4"]
    assert {ancestor.name for ancestor in v4.ancestors} > {"googlenet", "inception_v3"}
    assert v4.parents == ("inception_v3",)
    assert FAMILIES["wide_resnet"].parents == ("preact_resnet",)
    assert FAMILIES["inception_resnet"].parents == ("resnet", "inception_v4")  # one idea, one code


def test_the_tree_shows_every_family_and_line(tmp_path: Path):
    families = list(FAMILIES.values())
    for name in ("a.svg", "b.svg"):
        draw_lineage(families, tmp_path / name, {"vgg": "138 M"})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    words = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert describe_lineage(families, {"vgg": "138 M"}) in words
    assert "2014 vgg (138 M): ideas of alexnet" in words
    assert "2016 resnext: ideas of googlenet, code of resnet" in words


def test_papers_of_one_year_that_build_on_each_other_stand_in_rows(tmp_path: Path):
    families = [
        Family("a", 2000),
        Family("b", 2000, (Ancestor("a", ("Part",)),), ("a",)),
        Family("c", 2001, (Ancestor("a", (), "An idea."),), ("a",)),
    ]
    draw_lineage(families, tmp_path / "tree.svg")
    told = describe_lineage(families)
    assert told == "2000 a; 2000 b: code of a; 2001 c: ideas of a"
