import pytest
import torch
from faked_results import passes

from convatlas.recipe import to_dict
from convatlas.recipes.resnet import RECIPES
from convatlas.studies.degradation import STUDY
from convatlas.studies.thin_nets import WIDTHS, thin_network, thin_recipe


def errors(plain, residual):
    """Give training errors, each of the shallow and of the deep network."""
    found = {f"plain, {word}": e for word, e in zip(("shallow", "deep"), plain, strict=True)}
    found |= {f"residual, {word}": e for word, e in zip(("shallow", "deep"), residual, strict=True)}
    return {case: {"train_error": error} for case, error in found.items()}


def test_figure_6_passes_and_reversed_it_fails():
    assert passes(STUDY, errors((0.06, 0.12), (0.04, 0.01)))
    assert not passes(STUDY, errors((0.12, 0.06), (0.04, 0.01)))
    assert not passes(STUDY, errors((0.06, 0.12), (0.01, 0.04)))
    assert not passes(STUDY, errors((0.06, 0.12), (0.12, 0.12)))


def test_the_paper_s_scale_is_its_networks_recipe_and_images():
    for case, depth in zip(STUDY.cases("paper"), (20, 56, 20, 56), strict=True):
        assert case.settings["recipe"] == to_dict(RECIPES["cifar10"])
        assert case.settings["images"]["train"] is None
        layers = case.settings["network"].count("Conv2d") + 1
        assert layers == depth


@pytest.mark.parametrize(
    ("network", "params"), [("plain56_cifar", 853_018), ("resnet20_cifar", 269_722)]
)
def test_networks_are_the_catalog_s_at_the_paper_s_scale_and_half_as_wide_at_the_small(
    network, params
):
    with torch.device("meta"):
        whole, half = thin_network("paper", network)(), thin_network("small", network)()
    assert sum(p.numel() for p in whole.parameters()) == params
    assert half.head.fc.in_features == WIDTHS[-1] == whole.head.fc.in_features // 2


def test_plain_and_residual_networks_learn_alike():
    settings = [case.settings for case in STUDY.cases("small")]
    assert all(s["recipe"] == settings[0]["recipe"] for s in settings)
    assert all(s["images"] == settings[0]["images"] for s in settings)
    schedule = thin_recipe(10).schedule
    assert (schedule(0), schedule(1), schedule(10)) == (0, 1, 0)
