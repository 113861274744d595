"""Graphs rewritten for oneDNN: what is fused and folded, what must not be, and the same answers."""

from typing import Any

import pytest
import torch
from installed import need
from torch import nn

from convatlas.engines.engine import Order
from convatlas.engines.graph import rewritten
from convatlas.engines.graph_trace import GraphError
from convatlas.engines.wanted import Wanted
from convatlas.layers import LocalResponseNorm


@pytest.fixture(autouse=True)
def there():
    need("packed")


def check(model: nn.Module, *shape: int, **how: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Rewrite a network, compare the answers to new images, and give the graph and the facts."""
    torch.manual_seed(1)
    model = model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    module, facts = rewritten(Order(model, torch.randn(shape)), **how)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), model(x), rtol=1e-5, atol=1e-5)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    return module, facts


def operations(module: nn.Module) -> list[str]:
    """Name what a graph calls, in order."""
    names = []
    for node in module.graph.nodes:
        if node.op == "call_module":
            names.append(type(module.get_submodule(node.target)).__name__)
        elif node.op == "call_function":
            names.append(node.target._schema.name.removeprefix("aten::"))
    return names


def learned(norm: nn.Module) -> nn.Module:
    """Give a norm statistics and weights that are not 0 and 1."""
    for name, value in norm.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.5, 2) if name.endswith(("var", "weight")) else value.normal_()
    return norm


class Made(nn.Module):
    """Layers and a function of them."""

    def __init__(self, function: Any, **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.layers, x)


def conv(*how: Any, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, *how, padding=1, **more)


ACTS = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.Hardtanh(-0.5, 0.25),
    nn.LeakyReLU(0.2),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: str(act).lower())
def test_norm_and_activation_are_done_by_the_convolution(act):
    norm = learned(nn.BatchNorm2d(4))
    module, facts = check(nn.Sequential(conv(bias=False), norm, act), 2, 4, 9, 9)
    assert operations(module) == ["PackedConv"]
    assert (facts["norms_folded"], facts["activations_fused"]) == (1, 1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 8, 3, 2, 1),
        nn.Conv2d(4, 8, (1, 3), padding=(0, 1), groups=2, bias=False),
        nn.Conv2d(4, 4, 3, groups=4, dilation=2),
        nn.Conv2d(4, 8, 1, (2, 1)),
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(4, 8, 1, groups=2),
        nn.ConvTranspose2d(4, 8, 2, 2),
        nn.ConvTranspose2d(4, 8, 3, (2, 1), 1, (1, 0), dilation=2, bias=False),
    ],
    ids=str,
)
def test_any_convolution_is_packed(layer):
    model = nn.Sequential(layer, learned(nn.BatchNorm2d(layer.out_channels)), nn.ReLU())
    module, facts = check(model, 2, 4, 9, 9)
    assert len(operations(module)) == facts["packed"] == facts["norms_folded"] == 1


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4, momentum=None),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, eps=0.1),
    ],
    ids=str,
)
def test_a_norm_behind_a_convolution_is_folded(norm):
    module, _ = check(nn.Sequential(conv(), learned(norm)), 2, 4, 6, 6)
    assert operations(module) == ["PackedConv"]


@pytest.mark.parametrize(
    ("size", "kind"), [(1, "FewPixels"), (8, "PackedPixels"), (24, "PackedConv")]
)
def test_a_layer_over_pixels_is_computed_as_suits_its_size(size, kind):
    layer = nn.Conv2d(64, 512, 1, bias=False)
    module, _ = check(nn.Sequential(layer, nn.SiLU()), 2, 64, size, size)
    assert operations(module) == [kind]


def test_a_norm_by_the_batch_stays():
    model = nn.Sequential(conv(), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())
    module, facts = check(model, 2, 4, 6, 6)
    assert operations(module) == ["PackedConv", "batch_norm", "relu"]
    assert facts["norms_folded"] == 0


def test_a_norm_before_its_convolution_is_one_pass():
    norms = [learned(nn.BatchNorm2d(4)), learned(nn.BatchNorm2d(4, affine=False))]
    model = nn.Sequential(norms[0], nn.ReLU(), conv(), nn.Tanh(), norms[1])
    module, facts = check(model, 2, 4, 6, 6)
    assert operations(module) == ["ScaleShift", "PackedConv", "ScaleShift"]
    assert facts["norms_folded"] == 0


def test_a_transposed_convolution_of_groups_keeps_its_norm():
    layer = nn.ConvTranspose2d(4, 8, 3, (2, 1), 1, (1, 0), groups=2)
    module, _ = check(nn.Sequential(layer, learned(nn.BatchNorm2d(8)), nn.ReLU()), 2, 4, 9, 9)
    assert operations(module) == ["PackedTranspose", "ScaleShift"]


IN_PLACE = {
    "read before": lambda n, x: (y := n.a(x)) * 2 + n.b(x) * n.inside(y),
    "read after": lambda n, x: (y := n.a(x), n.inside(y), y * 2)[-1],
    "and in place again": lambda n, x: n.inside(n.a(x).mul_(3)).add_(1),
}


@pytest.mark.parametrize("function", IN_PLACE.values(), ids=IN_PLACE.keys())
def test_what_is_changed_in_place_is_read_as_changed(function):
    check(Made(named(function), a=conv(), b=conv(), inside=nn.ReLU(inplace=True)), 2, 4, 6, 6)


def test_linear_layers_are_packed():
    model = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(36, 8),
        learned(nn.BatchNorm1d(8)),
        nn.ReLU(),
        nn.Linear(8, 3, bias=False),
    )
    module, facts = check(model, 2, 4, 3, 3)
    assert operations(module) == ["flatten", "PackedLinear", "PackedLinear"]
    assert facts["norms_folded"] == 1


RESIDUAL = {
    "x + y": lambda n, x: n.act(n.a(x) + x),
    "y + x": lambda n, x: n.act(x + n.a(x)),
    "y += x": lambda n, x: n.act(n.a(x).add_(x)),
    "two convolutions": lambda n, x: n.act(n.a(x) + n.b(x)),
    "two layers": lambda n, x: n.act(n.b(n.a(x)) + x),
}


class Names:
    """The layers of a dict as attributes."""

    def __init__(self, layers: nn.ModuleDict) -> None:
        self.__dict__.update(layers.items())


def named(function: Any) -> Any:
    return lambda layers, x: function(Names(layers), x)


@pytest.mark.parametrize("function", RESIDUAL.values(), ids=RESIDUAL.keys())
def test_a_residual_addition_is_done_by_the_convolution(function):
    model = Made(named(function), a=conv(), b=conv(), act=nn.ReLU())
    module, facts = check(model, 2, 4, 6, 6)
    assert set(operations(module)) == {"PackedConv"}
    assert (facts["additions_fused"], facts["activations_fused"]) == (1, 1)


LEFT = {
    "an addition behind groups": lambda n, x: n.act(n.groups(x) + x),
    "an activation that others see too": lambda n, x: (y := n.a(x)) * n.act(y),
    "a sum that others see too": lambda n, x: (y := n.a(x) + x) * n.act(y),
    "twice the same": lambda n, x: (y := n.a(x)) + y,
    "a sum of other shapes": lambda n, x: n.a(x) + x.mean((2, 3), keepdim=True),
    "weighted": lambda n, x: torch.add(n.a(x), x, alpha=2),
    "a number": lambda n, x: n.a(x) + 2,
    "another function": lambda n, x: torch.sigmoid(n.a(x) + x),
    "a norm of what others see": lambda n, x: n.norm(y := n.a(x)) * y,
    "the same layer twice": lambda n, x: n.act(n.a(n.act(n.a(x)))),
    "joined": lambda n, x: torch.cat([n.a(x), n.act(n.b(x)), x], 1),
    "values as weights": lambda n, x: nn.functional.conv2d(x, n.a.weight * 2),
}


@pytest.mark.parametrize("function", LEFT.values(), ids=LEFT.keys())
def test_what_others_read_stays_as_it_is(function):
    norm = learned(nn.BatchNorm2d(4))
    layers = {"a": conv(), "b": conv(), "groups": conv(groups=2), "act": nn.ReLU(), "norm": norm}
    check(Made(named(function), **layers), 2, 4, 6, 6)


@pytest.mark.parametrize(
    "norm", [LocalResponseNorm(3, 0.1, 0.5), nn.LocalResponseNorm(5, 0.5, 0.75, 2.0)], ids=str
)
def test_a_response_norm_is_not_taken_apart(norm):
    model = Made(
        named(lambda n, x: n.norm(n.act(n.a(n.norm(x))))), a=conv(), act=nn.ReLU(), norm=norm
    )
    module, _ = check(model, 2, 4, 6, 6)
    assert operations(module) == ["LocalResponseNorm", "PackedConv", "LocalResponseNorm"]


def test_maps_that_grow_are_joined_once():
    class Growing(nn.Module):
        """Each layer reads all maps before it."""

        def __init__(self, nested: bool) -> None:
            super().__init__()
            norms = [learned(nn.BatchNorm2d(channels)) for channels in (4, 6, 8, 10)]
            convs = [nn.Conv2d(channels, 2, 3, padding=1) for channels in (4, 6, 8)]
            self.norms, self.convs = nn.ModuleList(norms), nn.ModuleList(convs)
            self.nested = nested

        def forward(self, x):
            maps = [x]
            for norm, layer in zip(self.norms, self.convs, strict=False):
                new = layer(torch.relu(norm(torch.cat(maps, 1) if len(maps) > 1 else maps[0])))
                maps = [torch.cat([*maps, new], 1)] if self.nested else [*maps, new]
            return torch.relu(self.norms[3](torch.cat(maps, 1))) + torch.cat(maps[:1], 1)[:, :1]

    for nested in (True, False):
        module, facts = check(Growing(nested), 2, 4, 6, 6)
        assert facts["joined_once"] == 3
        names = operations(module)
        assert (names.count("Begin"), names.count("Append"), names.count("First")) == (1, 2, 2)


def test_maps_that_others_read_are_joined_anew():
    parts = {"a": conv(), "b": nn.Conv2d(8, 4, 3, padding=1), "norm": learned(nn.BatchNorm2d(12))}
    function = named(lambda n, x: n.norm(torch.cat([y := torch.cat([x, n.a(x)], 1), n.b(y)], 1)))
    module, facts = check(Made(function, **parts), 2, 4, 6, 6)
    assert operations(module).count("cat") == 2
    assert facts["joined_once"] == 0


def test_a_factory_gives_the_layers_that_it_wants():
    asked = []

    class Mine(nn.Module):
        def __init__(self, layer: nn.Conv2d, act: nn.Module | None) -> None:
            super().__init__()
            self.layer, self.act = layer, act

        def forward(self, x, other=None):
            y = self.layer(x) if other is None else self.layer(x) + other
            return y if self.act is None else self.act(y)

    def factory(wanted: Wanted):
        asked.append((tuple(wanted.size), type(wanted.act), wanted.residual))
        return Mine(wanted.layer, wanted.act) if wanted.layer.kernel_size == (3, 3) else None

    function = named(lambda n, x: n.act(n.a(n.first(x)) + x))
    layers = {"first": nn.Sequential(nn.Conv2d(4, 4, 1), nn.SiLU()), "a": conv(), "act": nn.ReLU()}
    module, facts = check(Made(function, **layers), 2, 4, 6, 6, factory=factory)
    assert operations(module) == ["FewPixels", "Mine"]
    assert asked == [((2, 4, 6, 6), nn.ReLU, True), ((2, 4, 6, 6), nn.SiLU, False)]
    assert (facts["by_factory"], facts["packed"]) == (1, 1)


def depthwise(**how: Any) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, padding=1, groups=4, **how)


def point(maps: int = 4) -> nn.Conv2d:
    return nn.Conv2d(4, maps, 1)


@pytest.mark.parametrize(
    ("layers", "act", "left"),
    [
        ([depthwise(bias=False), learned(nn.BatchNorm2d(4)), nn.ReLU()], nn.ReLU, []),
        ([depthwise(stride=2), nn.ReLU6()], nn.ReLU6, []),
        ([depthwise()], None, []),
        ([learned(nn.BatchNorm2d(4)), nn.ReLU()], nn.ReLU, []),
        ([conv(), nn.ReLU(), learned(nn.BatchNorm2d(4))], None, ["PackedConv"]),
    ],
)
def test_filters_of_single_maps_are_computed_with_the_convolution_behind(layers, act, left):
    class Both(nn.Module):
        def __init__(self, wanted: Wanted) -> None:
            super().__init__()
            assert wanted.before is not None
            self.layers = nn.Sequential(wanted.before.conv, wanted.before.act or nn.Identity())
            self.last, self.act = wanted.layer, wanted.act or nn.Identity()
            assert (type(wanted.before.act) if wanted.before.act else None) is act

        def forward(self, x):
            return self.act(self.last(self.layers(x)))

    model = Made(
        named(lambda n, x: n.act(n.point(n.first(x)))),
        first=nn.Sequential(*layers),
        point=point(6),
        act=nn.ReLU(),
    )
    module, facts = check(
        model, 2, 4, 6, 6, factory=lambda wanted: Both(wanted) if wanted.before else None
    )
    assert operations(module) == [*left, "Both"]
    assert facts["filters_before"] == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda n, x: n.point(n.norm(n.conv(x))),  # folded instead
        lambda n, x: (lambda y: n.point(y) + y)(n.norm(x)),  # read twice
        lambda n, x: (lambda y: n.point(n.norm(y)) + y)(n.depthwise(x)),
        lambda n, x: n.point(n.wider(x)[:, :4]),
        lambda n, x: n.conv(n.depthwise(x)),  # not 1x1
        lambda n, x: n.point(nn.functional.relu(nn.functional.softmax(x, 1))),
    ],
)
def test_what_others_need_stays_apart(function):
    layers = {"point": point(), "norm": learned(nn.BatchNorm2d(4)), "conv": conv()}
    layers |= {"depthwise": depthwise(), "wider": nn.Conv2d(4, 8, 3, padding=1, groups=4)}
    asked = []

    def factory(wanted: Wanted) -> None:
        if wanted.before is not None and wanted.before.conv.kernel_size == (3, 3):
            asked.append(wanted)  # where the norm is read twice, filters before it are not taken
        return None  # noqa: RET501

    _, facts = check(Made(named(function), **layers), 2, 4, 6, 6, factory=factory)
    assert not asked
    assert facts["filters_before"] == 0


def test_its_tensors_are_its_own():
    model = Made(
        named(lambda n, x: n.a(x) * n.norm.weight.view(1, -1, 1, 1)),
        a=conv(),
        norm=nn.BatchNorm2d(4),
    )
    module, _ = rewritten(Order(model.eval(), torch.ones(1, 4, 5, 5)))
    x = torch.ones(1, 4, 5, 5)
    before = module(x)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    torch.testing.assert_close(module(x), before)


def test_the_weights_are_in_the_type_that_is_computed_in():
    norm = learned(nn.BatchNorm2d(4))
    model = nn.Sequential(norm, nn.ReLU(), conv(), nn.Flatten(), nn.Linear(64, 3)).eval()
    module, _ = rewritten(Order(model, torch.ones(1, 4, 4, 4), "bfloat16"))
    assert operations(module) == ["ScaleShift", "PackedConv", "flatten", "PackedLinear"]
    assert {value.dtype for value in module.state_dict().values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda n, x: (n.a(x), x), "something else than one tensor"),
        (lambda n, x: x.mul_(2) + n.a(x), "changes values in place, by mul_"),
        (lambda n, x: (y := n.a(x), y[:, 0].mul_(2), y)[-1], "changes values in place, by mul_"),
        (lambda n, x: {"logits": n.a(x)}, "something else than one tensor"),
        (lambda n, x: n.a(x) if x.detach().sum().item() > 0 else x, "torch.export can't take it"),
    ],
)
def test_a_network_that_has_no_such_graph_is_told(function, reason):
    model = Made(named(function), a=conv())
    with pytest.raises(GraphError, match=reason):
        rewritten(Order(model.eval(), torch.ones(1, 4, 5, 5)))


def test_a_network_that_types_its_values_is_told_in_other_types():
    model = Made(named(lambda n, x: n.a(x).double().float()), a=conv())
    check(model, 1, 4, 5, 5)
    with pytest.raises(GraphError, match="sets the type of its values"):
        rewritten(Order(model, torch.ones(1, 4, 5, 5), "bfloat16"))


def test_a_pooling_comes_before_a_pointwise_convolution():
    pooled = nn.Sequential(nn.Conv2d(4, 6, 1), nn.AvgPool2d(2), nn.ReLU())
    module, facts = check(pooled, 2, 4, 7, 6)
    assert operations(module)[0] == "avg_pool2d"
    assert (facts["pooled_first"], facts["activations_fused"]) == (1, 1)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(4, 6, 3), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 6, 1, 2), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 6, 1, padding=1), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 6, 1), nn.AvgPool2d(2, padding=1)),
        (nn.Conv2d(4, 6, 1), nn.AvgPool2d(2, ceil_mode=True)),
        (nn.Conv2d(4, 6, 1), nn.ReLU(), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 6, 1), nn.MaxPool2d(2)),
    ],
)
def test_other_poolings_stay_behind(layers):
    _, facts = check(nn.Sequential(*layers), 2, 4, 9, 8)
    assert facts["pooled_first"] == 0
