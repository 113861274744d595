from functools import partial

import torch
from faked_results import passes

from convatlas.architectures.nin import CIFAR_10
from convatlas.catalog import build
from convatlas.studies.mlpconv import LINEAR, MLP, ROWS, STUDY, WIDTHS, WITHIN, _linear
from convatlas.studies.small_nets import small_nin


def metrics(error, params):
    return {"test_error": error, "params": params}


def test_the_papers_numbers_pass_and_reversed_or_unfair_ones_fail():
    assert passes(STUDY, {MLP: metrics(0.1041, 1000), LINEAR: metrics(0.1646, 1010)})
    assert not passes(STUDY, {MLP: metrics(0.1646, 1000), LINEAR: metrics(0.1041, 1010)})
    assert not passes(STUDY, {MLP: metrics(0.1041, 1000), LINEAR: metrics(0.1646, 900)})


def test_both_networks_have_as_many_parameters_at_each_scale():
    makers = {
        "small": (
            partial(small_nin, ROWS),
            partial(_linear, ROWS, WIDTHS["small"]),
        ),
        "paper": (partial(build, "nin_cifar10"), partial(_linear, CIFAR_10, WIDTHS["paper"])),
    }
    for scale, pair in makers.items():
        with torch.device("meta"):
            deep, linear = (sum(p.numel() for p in make().parameters()) for make in pair)
        assert abs(linear / deep - 1) <= WITHIN, scale
    assert deep == 966_986


def test_the_linear_network_has_a_linear_filter_and_a_relu_for_each_mlpconv():
    net = _linear(ROWS, WIDTHS["small"])
    convs = [layer for layer in net.children() if isinstance(layer, torch.nn.Conv2d)]
    assert [conv.kernel_size[0] for conv in convs] == [row.kernel for row in ROWS]
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    assert [case.name for case in STUDY.cases("paper")] == [MLP, LINEAR]
