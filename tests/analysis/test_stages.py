"""The stages of a network, and the figure that is drawn of them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from torch import nn

from convatlas import analyze
from convatlas.analysis.network_chart import describe_network, draw_network
from convatlas.analysis.report import Report
from convatlas.analysis.stages import find_skips, find_stages
from convatlas.errors import InputError


def labels(report: Report) -> list[str]:
    return [stage.label for stage in find_stages(report)]


@pytest.mark.parametrize(
    "name",
    [
        *("lenet5", "alexnet_towers", "nin_cifar10", "vgg11", "googlenet", "unet"),
        *("resnet18", "squeezenet1_0", "mobilenet_v1", "cnn_gap"),
    ],
)
def test_the_stages_add_up_to_the_network(name: str):
    report = analyze(name)
    stages = find_stages(report)
    for total in ("params", "macs", "activation_bytes"):
        assert sum(getattr(stage, total) for stage in stages) == getattr(report, total)
    assert [layer for stage in stages for layer in stage.layers] == list(report.layers)


def test_the_stages_of_resnet50_are_the_rows_of_its_table():
    stages = find_stages(analyze("resnet50"))
    assert [stage.label for stage in stages] == [
        *("conv1", "conv2_x", "conv3_x", "conv4_x", "conv5_x", "fc")
    ]
    assert [stage.blocks for stage in stages] == [1, 3, 4, 6, 3, 1]
    assert stages[0].shape == (64, 112, 112)
    assert stages[0].pooled == (64, 56, 56)
    assert stages[4].shape == (2048, 7, 7)
    assert stages[4].pooled is None  # the average over the whole map belongs to the classifier
    assert stages[5].kind == "linear"


def test_the_stages_of_lenet5_are_its_layers():
    stages = find_stages(analyze("lenet5"))
    assert [stage.label for stage in stages] == ["C1", "S2", "C3", "S4", "C5", "F6", "OUTPUT"]
    assert [stage.kind for stage in stages][:2] == ["conv", "pool"]


def test_branches_are_those_of_the_papers_table():
    stages = {stage.label: stage for stage in find_stages(analyze("googlenet"))}
    assert stages["inception_3a"].branches == (64, 128, 32, 32)
    assert stages["inception_5b"].branches == (384, 384, 128, 128)
    assert stages["inception_3b"].pooled == (480, 14, 14)
    fire = {stage.label: stage for stage in find_stages(analyze("squeezenet1_0"))}["fire2"]
    assert fire.branches == (64, 64)


def test_a_pooling_that_is_a_branch_does_not_end_a_stage():
    stages = {stage.label: stage for stage in find_stages(analyze("bn_inception"))}
    assert stages["inception_3c"].shape == (576, 14, 14)
    assert stages["inception_3c"].pooled is None


def test_the_skips_of_unet_lead_over_the_valley():
    report = analyze("unet")
    stages = find_stages(report)
    skips = [(stages[a].label, stages[b].label) for a, b in find_skips(report, stages)]
    assert skips == [("enc1", "up4"), ("enc2", "up3"), ("enc3", "up2"), ("enc4", "up1")]
    plain = analyze("alexnet")
    assert find_skips(plain, find_stages(plain)) == []


def test_any_module_has_stages():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    stages = find_stages(analyze(model, (3, 8, 8)))
    assert [stage.shape for stage in stages] == [(4, 6, 6), (2,)]


def test_a_network_of_one_axis_has_stages_too():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(28, 2))
    assert [stage.kind for stage in find_stages(analyze(model, (1, 16)))] == ["conv", "linear"]


def test_a_network_of_many_layers_is_cut_more_coarsely():
    layers = [nn.Conv2d(1, 1, 1) for _ in range(40)]
    model = nn.Sequential(nn.Sequential(*layers), nn.Conv2d(1, 2, 1))
    stages = find_stages(analyze(model, (1, 8, 8)))
    assert [stage.blocks for stage in stages] == [40, 1]


def test_the_figure_shows_every_stage_and_its_numbers(tmp_path: Path):
    report = analyze("squeezenet1_1")
    draw_network(report, tmp_path / "net.svg")
    told = "".join(ElementTree.parse(tmp_path / "net.svg").getroot().itertext())
    for stage in find_stages(report):
        assert stage.label in told
        assert f"{stage.params:,} parameters" in told
    assert describe_network(report) in told
    assert re.search(r"1\.24 M parameters, 3\d\d M multiply-adds", told)


def test_equal_figures_are_equal_files(tmp_path: Path):
    report = analyze("lenet5")
    for name in ("a.svg", "b.svg"):
        draw_network(report, tmp_path / name)
    a, b = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert a == b
    assert len(a) < 100_000


def test_a_figure_can_be_a_png(tmp_path: Path):
    draw_network(analyze("cnn_gap"), tmp_path / "net.png")
    with Image.open(tmp_path / "net.png") as picture:
        assert picture.width > 900


def test_another_kind_of_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_network(analyze("lenet5"), tmp_path / "net.jpg")
