import torch
from faked_results import passes
from torch import nn

from convatlas.studies.overlapping_pooling import APART, OVERLAPPING, STUDY, _alexnet
from convatlas.studies.small_nets import four_layers


def metrics(error, gap):
    return {"test_error": error, "gap": gap}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    better, worse = metrics(0.375, 0.10), metrics(0.379, 0.12)
    assert passes(STUDY, {OVERLAPPING: better, APART: worse})
    assert not passes(STUDY, {OVERLAPPING: worse, APART: better})


def test_both_poolings_give_maps_of_one_size_in_both_networks():
    networks = [(four_layers(pool=3), four_layers(pool=2), 16)]
    with torch.device("meta"):
        networks.append((_alexnet(3), _alexnet(2), 227))
    for first, second, side in networks:
        assert _map_sizes(first, side) == _map_sizes(second, side)
        assert sum(p.numel() for p in first.parameters()) == sum(
            p.numel() for p in second.parameters()
        )


def _map_sizes(net, side):
    sizes = []
    for layer in net.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_hook(lambda _, x, y: sizes.append((x[0].shape, y.shape)))
    net.eval()(torch.zeros(1, 3, side, side, device=next(net.parameters()).device))
    return sizes
