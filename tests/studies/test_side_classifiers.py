import torch
from faked_results import passes

from convatlas.studies.side_classifiers import BEHIND, ROWS, STUDY, WITH, WITHOUT
from convatlas.studies.small_inception import SmallInception


def metrics(curve, error, gradient=1.0):
    return {"train_error_curve": curve, "test_error": error, "first_gradient": gradient}


def test_a_faster_start_passes_and_a_slower_one_or_a_worse_end_fails():
    fast, slow = [0.7, 0.5, 0.4, 0.3], [0.9, 0.7, 0.5, 0.3]
    assert passes(STUDY, {WITH: metrics(fast, 0.30), WITHOUT: metrics(slow, 0.305)})
    assert not passes(STUDY, {WITH: metrics(slow, 0.30), WITHOUT: metrics(fast, 0.305)})
    assert not passes(STUDY, {WITH: metrics(fast, 0.33), WITHOUT: metrics(slow, 0.305)})
    weak = metrics(fast, 0.30, gradient=0.5)
    assert not passes(STUDY, {WITH: weak, WITHOUT: metrics(slow, 0.305)})


def test_side_classifiers_learn_and_leave_the_network_as_it_was():
    bare, net = SmallInception(ROWS), SmallInception(ROWS, sides=BEHIND)
    for one in (bare, net):
        torch.manual_seed(0)
        one.reset_parameters()
    images = torch.randn(4, 3, 16, 16)
    logits, sides = net.eval().forward_with_sides(images)
    assert torch.equal(logits, net(images))
    assert [side.weight for side in sides] == [0.3, 0.3]
    assert {side.logits.shape for side in sides} == {(4, 10)}
    for name, tensor in bare.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name


def test_the_papers_scale_is_googlenet_with_and_without_sides():
    with_, without = STUDY.cases("paper")
    assert with_.settings["recipe"]["sides"]
    assert not without.settings["recipe"]["sides"]
    assert "(aux1)" in with_.settings["network"]
    assert "(aux1)" not in without.settings["network"]
