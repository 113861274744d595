"""A block as the graph of its layers, and the figure of it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from convatlas import analyze
from convatlas.analysis.block_chart import draw_blocks
from convatlas.analysis.blocks import Node, block_graph, find_block, lanes, ranks
from convatlas.errors import InputError, UnknownNameError


def graph(network: str, block: str) -> list[Node]:
    return block_graph(find_block(analyze(network), block))


def told(nodes: list[Node]) -> list[str]:
    return [", ".join([node.label, *node.notes]) for node in nodes]


def test_a_basic_block_adds_its_input():
    nodes = graph("resnet34", "stages.conv2_x.0")
    assert told(nodes) == [
        "input",
        "3x3 convolution, 64, batch norm, ReLU",
        "3x3 convolution, 64, batch norm",
        "add, ReLU",
    ]
    assert nodes[3].inputs == (nodes[2].name, nodes[0].name)  # the identity has no box


def test_a_projection_is_a_box_of_its_own():
    nodes = graph("resnet50", "stages.conv3_x.0")
    assert "1x1/2 convolution, 512, batch norm" in told(nodes)
    assert nodes[-1].shape == (512, 28, 28)


def test_branches_are_concatenated_in_the_order_of_the_paper():
    nodes = {node.name: node for node in graph("googlenet", "stages.inception_3a")}
    joined = nodes["cat"]
    assert [nodes[name].label for name in joined.inputs] == [
        "1x1 convolution, 64",
        "3x3 convolution, 128",
        "5x5 convolution, 32",
        "1x1 convolution, 32",
    ]
    assert joined.shape == (256, 28, 28)


def test_depthwise_and_grouped_convolutions_are_named_so():
    assert "3x3 depthwise, 32, batch norm, ReLU" in told(graph("mobilenet_v1", "stages.block1"))
    resnext = told(graph("resnext50_32x4d", "stages.conv2_x.0"))
    assert "3x3 convolution, 128, 32 groups, batch norm, ReLU" in resnext


def test_what_normalizes_the_input_has_a_box():
    nodes = graph("preact_resnet110_cifar", "stages.stage1.1")
    assert nodes[1].kind == "norm"
    assert told(nodes)[1:3] == ["batch norm, ReLU", "3x3 convolution, 16, batch norm, ReLU"]


@pytest.mark.parametrize(
    ("network", "block"),
    [
        ("googlenet", "stages.inception_3a"),
        ("inception_v3", "stages.Mixed_7b"),
        ("efficientnet_b0", "stages.stage3.1"),
        ("squeezenet1_0", "stages.fire2"),
    ],
)
def test_every_arrow_runs_down_and_no_two_share_a_way(network: str, block: str):
    nodes = graph(network, block)
    rows, columns = ranks(nodes), lanes(nodes)
    assert set(columns) == {(node.name, i) for node in nodes for i in range(len(node.inputs))}
    ways: set[tuple[float, int]] = set()
    for node in nodes:
        for i, given in enumerate(node.inputs):
            assert rows[given] < rows[node.name]
            way = {(columns[node.name, i], row) for row in range(rows[given], rows[node.name])}
            assert not way & ways
            ways |= way


def test_the_figure_says_all_that_is_in_the_block(tmp_path: Path):
    blocks = {
        title: find_block(analyze(title), "stages.inception_3a")
        for title in ("googlenet_naive", "googlenet")
    }
    for name in ("a.svg", "b.svg"):
        draw_blocks(blocks, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    words = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert "387 k parameters, 303 M multiply-adds" in words
    assert "5x5 convolution, 32, ReLU of 1x1 convolution, 16" in words


def test_a_single_layer_is_no_block():
    report = analyze("resnet18")
    with pytest.raises(InputError, match=r"stem\.pool is one layer, a MaxPool2d"):
        find_block(report, "stem.pool")
    with pytest.raises(UnknownNameError, match="did you mean"):
        find_block(report, "stages.conv9_x")


class Moody(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Nervous(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mood = Moody()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.shape[0] == 1 else self.conv(torch.cat([x] * x.shape[0]))


def test_a_forward_that_asks_for_values_is_refused_in_words():
    with pytest.raises(InputError, match="can't be drawn as a graph of layers"):
        block_graph(analyze(Nervous(), (3, 4, 4)))


def test_what_no_picture_has_room_for_is_refused():
    model = nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(70)))
    with pytest.raises(InputError, match="choose a smaller block"):
        block_graph(analyze(model, (1, 4, 4)))
