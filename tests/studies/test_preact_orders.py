from faked_results import passes
from torch import nn

from convatlas.architectures.preact_resnet import FIGURE_4
from convatlas.recipe import to_dict
from convatlas.recipes.preact_resnet import RECIPES
from convatlas.studies.preact_orders import BLOCKS, NETWORK, STUDY
from convatlas.studies.thin_nets import thin_network

TABLE_2 = {
    int(number.case.partition(",")[0].removeprefix("ResNet-")): {} for number in STUDY.published
}
for number in STUDY.published:
    depth, _, order = number.case.removeprefix("ResNet-").partition(", ")
    TABLE_2[int(depth)][order] = float(number.value.removesuffix(" %")) / 100


def judged(errors):
    return passes(STUDY, {order: {"test_error": error} for order, error in errors.items()})


def test_table_2_passes_at_both_depths():
    assert set(TABLE_2) == {110, 164}
    assert all(judged(errors) for errors in TABLE_2.values())


def test_reversed_it_fails():
    errors = TABLE_2[110]
    assert not judged(errors | {"full_preact": 0.0697})
    assert not judged(errors | {"bn_after_add": 0.0650})
    assert judged(errors | {"bn_after_add": 0.0700})  # the second worst


def test_the_paper_s_scale_is_the_network_of_110_layers_in_each_order():
    for case in STUDY.cases("paper"):
        assert case.settings["recipe"] == to_dict(RECIPES["cifar10"])
        assert case.settings["network"].count("Conv2d") == 109
    sizes = set()
    for order in FIGURE_4:
        net = thin_network("small", NETWORK, activation=order, blocks=BLOCKS)()
        sizes.add(sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d)))
    assert len(sizes) == 1
