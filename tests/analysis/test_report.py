"""What `analyze` reports: against published counts, torch's own counter, and modules of users."""

import copy
import json
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

import convatlas as ca
from convatlas.analysis.finding import find_layer
from convatlas.analysis.report import Report, analyze_name
from convatlas.analysis.subjects import Subjects
from convatlas.catalog import build_meta
from convatlas.errors import InputError

# Parameters and multiply-adds of independent builds of the papers' tables, torchvision 0.28 and
# timm 1.0.31, on the networks' own input.
COUNTS = {
    "lenet5": (60_000, 325_680),
    "lenet5_modern": (61_706, 416_520),
    "lenet_caffe": (431_080, 2_293_000),
    "alexnet": (60_965_224, 724_406_816),
    "alexnet_towers": (60_965_224, 724_406_816),
    "alexnet_ungrouped": (62_378_344, 1_135_256_096),
    "alexnet_bn": (60_966_600, 724_406_816),
    "alexnet_owt": (61_100_840, 714_188_480),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16_1x1": (133_638_952, 11_770_888_192),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 3_857_973_248),
    "resnet50_v1_5": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_570_194_432),
    "resnet152_v1_5": (60_192_808, 11_513_626_624),
    "plain18": (11_515_688, 1_794_805_760),
    "plain34": (21_623_848, 3_644_493_824),
    "resnet20_cifar": (269_722, 40_551_040),
    "resnet56_cifar": (853_018, 125_485_696),
    "resnet110_cifar": (1_727_962, 252_887_680),
    "plain44_cifar": (658_586, 97_174_144),
    "squeezenet1_0": (1_248_424, 832_667_936),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "densenet121": (7_978_856, 2_834_161_664),
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "efficientnet_b0": (5_288_548, 385_814_752),
    "wide_resnet16_8_cifar": (10_961_370, 1_548_145_664),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_what_others_counted(name: str):
    report = ca.analyze(name)
    assert (report.params, report.macs) == COUNTS[name]
    assert sum(layer.params for layer in report.layers) == report.params


@pytest.mark.parametrize(
    ("name", "shortcut", "counts"),
    [
        ("resnet18", "A", (11_515_688, 1_794_805_760)),
        ("resnet18", "C", (12_043_816, 1_878_298_624)),
        ("resnet34", "A", (21_623_848, 3_644_493_824)),
        ("resnet34", "C", (22_716_840, 3_830_747_136)),
        ("resnet20_cifar", "B", (272_474, 40_813_184)),
    ],
)
def test_counts_a_network_with_options(name: str, shortcut: str, counts: tuple[int, int]):
    report = ca.analyze(build_meta(name, shortcut=shortcut))
    assert (report.params, report.macs) == counts


@pytest.mark.slow
def test_counts_the_deepest_network():
    report = ca.analyze("resnet1202_cifar")
    assert (report.params, report.macs) == (19_421_274, 2_829_238_912)
    assert report.weight_layers == 1202


class Upsampler(nn.Module):
    """Transposed, grouped and functional layers, and a product that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1, groups=1)
        self.up = nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2)
        self.kernel = nn.Parameter(torch.zeros(5, 3, 3, 3))
        self.fc = nn.Linear(5, 7, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.up(self.down(x)))
        maps = nn.functional.conv2d(x[:, ::2], self.kernel, dilation=2)
        rows = maps.flatten(2).transpose(1, 2)
        return self.fc(rows).mean(1)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18", "lenet5_modern"])
def test_agrees_with_the_counter_of_torch(name: str):
    model = build_meta(name).eval()
    report = ca.analyze(name)
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, *report.input_shape, device="meta"))
    assert counter.get_total_flops() == 2 * report.macs


def test_agrees_with_the_counter_of_torch_on_functions():
    model = Upsampler()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 16, 20))
    assert counter.get_total_flops() == 2 * ca.analyze(model, (3, 16, 20)).macs


def test_names_functions_after_the_module_that_calls_them():
    report = ca.analyze(Upsampler(), (3, 16, 16))
    rows = {row.name: row for row in report.layers}
    assert list(rows) == ["down", "up", "relu", "conv", "fc", "mean"]
    assert rows["conv"].role == "conv"
    assert rows["conv"].params == 135  # `kernel`, which belongs to no layer
    assert rows["conv"].weight_shape == (5, 3, 3, 3)
    assert rows["up"].output_shape == (6, 16, 16)
    assert rows["up"].fan_in == 4 * 16
    assert rows["fc"].macs == 12 * 12 * 5 * 7
    assert sum(row.params for row in report.layers) == report.params


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(self.relu(self.conv(x)) + x))


def test_counts_the_weights_of_a_layer_that_is_called_twice_once():
    report = ca.analyze(Twice(), (4, 8, 8))
    names = ["conv", "relu", "add", "conv#2", "relu#2"]
    assert [row.name for row in report.layers] == names
    assert [row.params for row in report.layers] == [148, 0, 0, 0, 0]
    assert report.params == 148 + 6  # with the layer that does not run
    assert report.macs == 2 * 64 * 4 * 36
    assert report.weight_layers == 2
    assert [row.activation_bytes for row in report.layers] == [1024, 0, 1024, 1024, 0]


def test_takes_the_longest_path():
    class Inception(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(3, 4, 1)
            self.three = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1))
            self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 4, 1))
            self.head = nn.Linear(12, 2)

        def forward(self, x: Tensor) -> Tensor:
            maps = torch.cat([self.one(x), self.three(x), self.pool(x)], 1)
            return self.head(maps.mean((2, 3)))

    report = ca.analyze(Inception(), (3, 8, 8))
    assert report.weight_layers == 3
    assert report.trace.weight_and_pool_layers == 4
    assert [row.role for row in report.layers if row.kind in ("cat", "mean")] == ["other", "pool"]


def test_counts_products_with_weights_only():
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("ntd,nsd->nts", self.query(x), self.key(x)).softmax(-1)

    report = ca.analyze(Attention(), (6, 4))
    assert report.macs == 2 * 6 * 4 * 4
    assert report.weight_layers == 1


def test_sees_through_a_parametrization():
    report = ca.analyze(weight_norm(nn.Conv2d(3, 4, 3)), (3, 8, 8))
    assert [row.kind for row in report.layers] == ["ParametrizedConv2d"]
    assert report.layers[0].macs == report.macs == 36 * 4 * 27
    assert report.params == 4 * 27 + 4 + 4


def test_lists_stages_and_blocks():
    report = ca.analyze("resnet50")
    shapes = {f"conv{i}_x": report.containers[f"stages.conv{i}_x"].output_shape for i in (2, 5)}
    assert shapes == {"conv2_x": (256, 56, 56), "conv5_x": (2048, 7, 7)}
    stage = report.containers["stages.conv3_x"]
    assert stage.params == 1_219_584
    inside = [row for row in report.layers if row.name.startswith("stages.conv3_x.")]
    assert stage.macs == sum(row.macs for row in inside)
    assert not {row.name for row in report.layers} & set(report.containers)


def test_counts_batches_of_any_type_of_number():
    rows = ca.analyze(nn.Conv2d(1, 1, 3).half(), (1, 8, 8)).layers
    assert rows[0].activation_bytes == 36 * 2


def test_leaves_a_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    seen: list[Tensor] = []
    model[0].register_forward_hook(lambda _module, _args, output: seen.append(output))
    before, kept = copy.deepcopy(model.state_dict()), list(model.parameters())
    ca.analyze(model, (1, 8, 8))
    assert model.training
    assert model[1].training
    assert not seen
    assert all(a is b for a, b in zip(kept, model.parameters(), strict=True))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert len(model[0]._forward_hooks) == 1


def test_takes_modules_with_tensors_of_their_own():
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mask = torch.ones(1, 3, 8, 8)  # neither parameter nor buffer

        def forward(self, x: Tensor) -> Tensor:
            return x * self.mask + torch.arange(8)

    assert ca.analyze(Masked(), (3, 8, 8)).layers[-1].output_shape == (3, 8, 8)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_allocates_nothing():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    ca.analyze("vgg11")  # what is loaded once
    before = resident()
    report = ca.analyze("vgg16")
    assert resident() - before < 20e6  # its weights have 553 MB
    assert all(parameter.is_meta for parameter in report.model.parameters())


def test_is_quick():
    seconds = []
    for _ in range(3):
        start = time.process_time()
        ca.analyze("resnet152")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


@pytest.mark.parametrize(
    ("name", "size"), [("lenet5", 32), ("resnet20_cifar", 1), ("alexnet", 227), ("densenet121", 29)]
)
def test_finds_the_least_image(name: str, size: int):
    assert ca.analyze(name).min_input_size == size


def test_finds_the_least_image_among_sizes_that_do_not_run():
    class Even(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(1, 1, 2, -1, 3, x.shape[3] // 3)

    assert ca.analyze(Even(), (1, 12, 12)).min_input_size == 6
    assert ca.analyze(nn.Linear(4, 2), (4,)).min_input_size is None


def test_is_a_table_and_a_dict():
    report = ca.analyze("lenet5_modern")
    text = str(report)
    assert text.startswith("lenet5_modern on 1x32x32\n")
    assert "MACs: 416,520" in text
    assert "multiply-add is one MAC" in text
    lines = [line for line in text.splitlines() if line.startswith("stages.C1 ")]
    words = ["stages.C1", "Conv2d", "6x28x28", "5x5", "1x1", "156", "117,600", "5"]
    assert [line.split() for line in lines] == [words]
    facts = json.loads(json.dumps(report.to_dict()))
    assert facts["params"] == 61_706
    assert facts["layers"][0]["output_shape"] == [6, 28, 28]
    assert sum(layer["macs"] for layer in facts["layers"]) == facts["macs"]


def test_takes_the_input_of_a_network_that_was_created():
    model = ca.create("resnet18", num_classes=7, in_channels=1)
    assert ca.analyze(model).input_shape == (1, 224, 224)
    assert ca.analyze(model, (1, 64, 64)).input_shape == (1, 64, 64)
    assert ca.analyze("resnet18", (1, 64, 64)).layers[0].input_shape == (1, 64, 64)
    assert analyze_name("resnet18", num_classes=7).layers[-1].output_shape == (7,)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("resnet5O", None, "no variant named 'resnet5O'; did you mean: resnet50"),
        (nn.Linear(2, 2), None, "Linear is not of the catalog: give input_shape"),
        (nn.Linear(2, 2), (3,), "Linear does not run on an input of 3: "),
        (nn.Conv2d(3, 1, 3), (1, 8, 8), "Conv2d does not run on an input of 1x8x8: "),
        (nn.Conv2d(3, 1, 3), (3, 0, 8), "without the batch, such as"),
        ("resnet18", (224, 224), "without the batch|takes a batch of images"),
        ("alexnet", (3, 64, 64), "at least 227x227"),
        (nn.LazyConv2d(3, 3), (3, 8, 8), "lazy layers"),
    ],
)
def test_says_what_is_wrong(model: nn.Module | str, shape: tuple[int, ...] | None, message: str):
    with pytest.raises((InputError, KeyError), match=message) as caught:
        ca.analyze(model, shape)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def resnet() -> Report:
    return ca.analyze("resnet18")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("head.fc", "head.fc"),
        ("fc", "head.fc"),
        ("conv1", "stem.conv1"),  # and not the conv1 of a block, which is deeper
        ("conv4_x", "stages.conv4_x"),
        ("stage_4", "stages.conv4_x"),
        ("input", "input"),
    ],
)
def test_finds_a_layer_by_the_name_of_a_paper(resnet: Report, name: str, found: str):
    assert find_layer(resnet, name, {r"stage_(\d)": r"stages.conv\1_x"}).name == found


@pytest.mark.parametrize("name", ["conv6_x", "shortcut", ""])
def test_finds_no_layer_that_is_none_or_many(resnet: Report, name: str):
    with pytest.raises(KeyError, match="no layer of resnet18 named"):
        find_layer(resnet, name)


def test_builds_a_subject_once():
    subjects = Subjects()
    assert subjects.get("vgg11", {"num_classes": 5}) is subjects.get("vgg11", {"num_classes": 5})


def test_follows_what_is_written_into_a_part_of_a_tensor():
    class Wrap(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            wide = torch.zeros(1, 1, 8, 10)
            wide[:, :, :, 1:9] = x
            wide[:, :, :, :1] = x[:, :, :, -1:]
            return wide

    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), Wrap(), nn.Conv2d(1, 2, 3))
    report = ca.analyze(model, (1, 8, 8))
    assert report.weight_layers == 2
    assert report.macs == 64 * 9 + 48 * 18
    assert report.layers[-1].receptive_field == 10  # any column of the image, and the padding
    circular = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    assert ca.analyze(circular, (1, 8, 8)).macs == 64 * 9


@pytest.mark.parametrize("shape", [5, "3x8x8", (), (3, 8.0, 8), (3, True, 8)])
def test_says_what_an_input_shape_is(shape: object):
    for model in (nn.Conv2d(3, 1, 3), "resnet18"):
        with pytest.raises(InputError, match="of one image without the batch"):
            ca.analyze(model, shape)


def test_refuses_torchscript():
    with pytest.warns(DeprecationWarning, match="jit"):
        script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(InputError, match="TorchScript hides its layers"):
        ca.analyze(script, (3, 8, 8))
