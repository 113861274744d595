import pytest
import torch
from faked_results import passes

from convatlas.studies.ensembles import CASE, NETWORKS, STUDY, _error, _mean_error


def metrics(one, best, curve):
    found = {"single_error": one, "best_error": best, "test_error": curve[-1]}
    return {CASE: found | {"error_by_number": curve}}


def test_the_papers_numbers_pass_and_a_group_that_helps_nobody_fails():
    falling = [0.182, 0.174, 0.170, 0.167, 0.164, 0.158, 0.154]
    assert passes(STUDY, metrics(0.182, 0.180, falling))
    assert not passes(STUDY, metrics(0.182, 0.150, falling))
    assert not passes(STUDY, metrics(0.154, 0.150, falling[::-1]))


def test_the_mean_over_groups_depends_on_no_order():
    generator = torch.Generator().manual_seed(0)
    answers = [torch.rand(50, 10, generator=generator) for _ in range(4)]
    labels = torch.randint(10, (50,), generator=generator)
    for count in range(1, 5):
        turned = _mean_error(answers[::-1], labels, count)
        assert _mean_error(answers, labels, count) == pytest.approx(turned)
    alone = [_error(answer, labels) for answer in answers]
    assert _mean_error(answers, labels, 1) == pytest.approx(sum(alone) / 4)
    assert _mean_error(answers, labels, 4) == _error(sum(answers) / 4, labels)


def test_seven_networks_of_the_paper():
    [case] = STUDY.cases("paper")
    assert case.settings["networks"] == NETWORKS == 7
    assert case.settings["network"].startswith("AlexNet(")
