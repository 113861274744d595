from faked_results import passes

from convatlas.catalog import build_meta
from convatlas.recipe import to_dict
from convatlas.recipes import densenet, resnet
from convatlas.studies.dense_residual import DENSE, LARGER, NETWORKS, SAME, STUDY


def rows(dense, same, larger):
    return {
        DENSE: {"test_error": dense, "params": 769_162},
        SAME: {"test_error": same, "params": 855_770},
        LARGER: {"test_error": larger, "params": 1_730_714},
    }


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows(0.0451, 0.0697, 0.0643))
    assert not passes(STUDY, rows(0.0697, 0.0451, 0.0643))
    assert not passes(STUDY, rows(0.06, 0.08, 0.04))


def test_the_networks_have_the_sizes_that_their_names_say():
    for scale in ("small", "paper"):
        params = {}
        for name, (network, changes) in NETWORKS[scale].items():
            model = build_meta(network, num_classes=10, **changes)
            params[name] = sum(weights.numel() for weights in model.parameters())
        assert 0.9 < params[SAME] / params[DENSE] < 1.15
        assert 2 < params[LARGER] / params[DENSE] < 2.3


def test_the_papers_scale_has_the_papers_recipes():
    recipes = [case.settings["recipe"] for case in STUDY.cases("paper")]
    dense, residual = (to_dict(module.RECIPES["cifar10"]) for module in (densenet, resnet))
    assert recipes == [dense, residual, residual]
