import pytest
import torch
from faked_results import passes
from torch import nn

from convatlas.recipe import to_dict
from convatlas.recipes.nin import RECIPES
from convatlas.studies.dropout_heads import AVERAGE, DENSE, DROPOUT, STUDY
from convatlas.studies.small_nets import small_nin


def metrics(error, gap):
    return {"test_error": error, "gap": gap}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    table = {
        DENSE: metrics(0.1159, 0.11),
        DROPOUT: metrics(0.1088, 0.09),
        AVERAGE: metrics(0.1041, 0.08),
    }
    assert passes(STUDY, table)
    assert not passes(STUDY, table | {AVERAGE: metrics(0.1159, 0.12)})
    assert not passes(STUDY, table | {AVERAGE: metrics(0.1159, 0.08)})


def test_the_heads_of_both_scales():
    for scale, inputs in {"small": 160, "paper": 640}.items():
        dense, dropout, average = (case.settings["network"] for case in STUDY.cases(scale))
        for network in (dense, dropout):
            assert f"in_features={inputs}, out_features=10" in network
        assert "Linear" not in average
        assert dropout.count("Dropout") == dense.count("Dropout") + 1
        assert average.count(nn.AdaptiveAvgPool2d.__name__) == 1


def test_the_papers_scale_is_nin_as_the_paper_trained_it():
    for case in STUDY.cases("paper"):
        assert case.settings["recipe"] == to_dict(RECIPES["cifar10"])
        assert case.settings["images"]["train"] is None


@pytest.mark.parametrize("seed", range(3))
def test_every_class_can_be_learnt_from_the_first_weights(seed):
    torch.manual_seed(seed)
    net = small_nin(drop_after=()).eval()
    with torch.no_grad():
        scores = net(torch.randn(64, 3, 16, 16))
    assert (scores > 0).any(0).all()
