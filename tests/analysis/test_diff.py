"""Alignments of layers, what changes between networks, and what other values of a spec change."""

import contextlib
import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import convatlas as ca
from convatlas import catalog
from convatlas.analysis.alignment import align
from convatlas.analysis.diff import TOTALS, Diff, diff
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report, analyze
from convatlas.analysis.surgery import altered
from convatlas.card import Architecture
from convatlas.errors import InputError, UnknownNameError, UserError


@cache
def v1_5() -> Diff:
    return diff("resnet50", "resnet50_v1_5")


def test_the_stride_of_resnet50_moves() -> None:
    found = v1_5()
    assert found.delta("macs") == 231_211_008
    assert (found.a.receptive_field, found.b.receptive_field) == (483, 427)
    assert found.delta("params") == found.delta("weight_layers") == 0
    changed = {pair.b.name: pair.changes for pair in found.changed if pair.b is not None}
    assert len(changed) == len(found.changed) == 3 * 4
    assert changed["stages.conv4_x.0.reduce.conv"] == [
        "stride 2x2 -> 1x1",
        "output 256x14x14 -> 256x28x28",
    ]
    assert changed["stages.conv4_x.0.conv.conv"] == ["stride 1x1 -> 2x2"]


def test_the_table_folds_what_is_alike() -> None:
    found = v1_5()
    folded, whole = found.rows(), found.rows(whole=True)
    assert len(folded) == 1 + 12 + 4
    assert len(whole) == 1 + len(found.pairs)
    assert folded[1] == ("... 38 alike", "", "", "", "", "35")
    assert folded[-1][-1] == "483 -> 427"
    assert str(found).splitlines()[0] == "resnet50 on 3x224x224 -> resnet50_v1_5 on 3x224x224"
    assert str(found).splitlines()[-1].split() == ["receptive", "field", "483", "427", "-56"]


@pytest.mark.parametrize(
    ("a", "b"),
    [("resnet20_cifar", "plain20_cifar"), ("alexnet", "zfnet"), ("lenet5", "lenet5_modern")],
)
def test_the_layers_add_up_to_the_totals_both_ways(a: str, b: str) -> None:
    found, back = diff(a, b), diff(b, a)
    for cost in ("params", "macs", "activation_bytes"):
        assert sum(pair.delta(cost) for pair in found.pairs) == found.delta(cost)
        assert back.delta(cost) == -found.delta(cost)
    assert [pair.a for pair in found.pairs if pair.a is not None] == list(found.a.layers)
    assert [pair.b for pair in found.pairs if pair.b is not None] == list(found.b.layers)


def test_added_layers_are_folded_into_one_row() -> None:
    found = diff("resnet20_cifar", "resnet32_cifar")
    rows = [row for row in found.rows() if row[1].startswith("added")]
    assert [row[1] for row in rows] == ["added, 16 layers"] * 3
    assert rows[0][0] == "stages.stage1.3.conv1.conv ... stages.stage1.4.act"
    params = sum(int(row[2].replace(",", "")) for row in rows)
    assert params == found.delta("params") == 464_154 - 269_722


def test_batch_norm_is_what_vgg16_bn_adds() -> None:
    found = diff("vgg16", "vgg16_bn")
    assert {pair.change for pair in found.changed} == {"added"}
    assert [pair.b.kind for pair in found.changed if pair.b] == ["BatchNorm2d"] * 13


def test_a_network_is_like_itself_and_modules_can_be_compared() -> None:
    assert diff("cnn_gap", "cnn_gap").changed == []
    ours = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8))
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
    found = ca.diff(ours, theirs, (3, 9, 9))
    assert [pair.change for pair in found.pairs] == ["same", "added", "same", "changed"]
    assert found.pairs[-1].changes == ["groups 8 -> 1"]
    assert found.pairs[-1].delta("params") == 8 * 8 * 9 - 8 * 9


def test_a_diff_becomes_json() -> None:
    found = json.loads(json.dumps(v1_5().to_dict()))
    assert found["totals"]["macs"]["delta"] == 231_211_008
    assert found["totals"].keys() == TOTALS.keys()
    layer = next(entry for entry in found["layers"] if entry["change"] == "changed")
    assert layer["delta_macs"] == 77_070_336


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: resnet50"):
        diff("resnet50", "resnet5O")
    with pytest.raises(InputError, match="give input_shape"):
        diff(nn.ReLU(), nn.ReLU())


ROLES = {"conv": "Conv2d", "pool": "MaxPool2d", "activation": "ReLU"}
LAYERS = st.lists(
    st.builds(
        lambda name, role, size: LayerRecord(name, ROLES[role], role, (1,), (size,)),
        st.sampled_from(["a", "b", "x.a", "y.b"]),
        st.sampled_from(sorted(ROLES)),
        st.integers(1, 2),
    ),
    max_size=5,
)


def likeness(a: LayerRecord, b: LayerRecord) -> int:
    if a.role != b.role:
        return 0
    tails = a.name.rpartition(".")[2] == b.name.rpartition(".")[2]
    same_shape = a.output_shape == b.output_shape
    return 1 + 4 * (a.name == b.name) + 2 * tails + 2 * same_shape + 2 + (a.kind == b.kind) + 1


def best(a: list[LayerRecord], b: list[LayerRecord]) -> int:
    """Give the likeness of the best alignment, by trying all of them."""
    if not a or not b:
        return 0
    paired = likeness(a[0], b[0])
    return max(best(a[1:], b), best(a, b[1:]), paired + best(a[1:], b[1:]) if paired else 0)


@given(LAYERS, LAYERS)
def test_no_other_alignment_is_better(a: list[LayerRecord], b: list[LayerRecord]) -> None:
    pairs = align(a, b)
    assert [ours for ours, _ in pairs if ours is not None] == a
    assert [theirs for _, theirs in pairs if theirs is not None] == b
    assert all(ours is not None or theirs is not None for ours, theirs in pairs)
    together = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    assert all(ours.role == theirs.role for ours, theirs in together)
    assert sum(likeness(*pair) for pair in together) == best(a, b)


def test_option_a_costs_less() -> None:
    changed = altered("resnet18", {"shortcut": "A"})
    assert changed.name == "resnet18 with shortcut='A'"
    projections = sum(64 * 2**i * 128 * 2**i + 2 * 128 * 2**i for i in range(3))
    assert analyze("resnet18").params - changed.params == projections


def test_nothing_changed_is_the_paper_s_network() -> None:
    plain, same = analyze("cnn_gap"), altered("cnn_gap", {})
    assert (plain.name, plain.params, plain.macs) == (same.name, same.params, same.macs)


def test_surgery_keeps_classes_and_input() -> None:
    changed = altered("resnet20_cifar", {"shortcut": "B"}, (1, 64, 64), 5)
    assert changed.input_shape == (1, 64, 64)
    assert changed.layers[-1].output_shape == (5,)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet50", {"shortcut": "D"}, "shortcut .*'C'.* None"),
        ("resnet50", {"shortcutt": "A"}, "did you mean: shortcut"),
        ("resnet50", {"blocks": 3}, "blocks takes a tuple of whole numbers"),
        ("resnet50", {"blocks": (3, 4, 6, "3")}, "blocks takes a tuple"),
        ("resnet50", {"blocks": (3, 4, 6)}, "one number of at least 1 for each stage"),
        ("resnet50", {"expansion": 4.5}, "expansion takes a whole number"),
        ("resnet50", {"block": "Bottleneck"}, "block takes a function"),
        ("mobilenet_v1", {"width_mult": "half"}, "width_mult takes a number"),
        ("alexnet", {"groups": 3}, "groups is 2, or 1"),
        ("densenet121", {"growth_rate": -12}, "growth_rate"),
    ],
)
def test_a_value_that_no_network_has_is_named(name: str, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        altered(name, changes)


@pytest.mark.slow
@pytest.mark.parametrize("family", catalog.ARCHITECTURES, ids=lambda family: family.name)
def test_any_value_is_built_or_refused_in_one_line(family: Architecture) -> None:
    name, variant = next(iter(family.variants.items()))
    for field in getattr(variant.spec, "__dataclass_fields__", {}):
        for value in (-1, 0, 1, 2.5, "", "x", True, None, (), (1, 2), (0,) * 4, ("a",)):
            with contextlib.suppress(UserError):
                assert isinstance(altered(name, {field: value}), Report)
