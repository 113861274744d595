import pytest
import torch
from faked_results import passes
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convatlas.studies.crossing import epochs_until
from convatlas.studies.relu_tanh import RATES, STUDY, case_name, make_network


def results(relu, tanh):
    """Give results from the epochs that each rate needs."""
    rows = [("ReLU", relu), ("tanh", tanh)]
    return {
        case_name(name, rate): {"epochs_needed": epochs, "val_error_curve": [0.5] * 20}
        for name, needed in rows
        for rate, epochs in zip(RATES, needed, strict=True)
    }


def test_six_times_the_epochs_pass_with_the_best_rate_of_each():
    assert passes(STUDY, results((None, 9, 5, 8), (None, None, 36, 30)))
    assert not passes(STUDY, results((None, 9, 5, 8), (None, None, 36, 9)))
    assert not passes(STUDY, results((36, 30, 30, 36), (5, 6, 7, 8)))


def test_what_never_gets_there_counts_as_its_last_epoch():
    assert passes(STUDY, results((None, None, 9, 12), (None,) * 4))
    assert not passes(STUDY, results((None, None, 11, 12), (None,) * 4))
    assert not passes(STUDY, results((None,) * 4, (None,) * 4))


def test_the_networks_differ_in_the_activation_alone():
    relu, tanh = make_network("ReLU"), make_network("tanh")
    assert repr(relu).replace("ReLU()", "Tanh()") == repr(tanh)
    assert tanh(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    assert make_network("ReLU", large=True)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert not any(isinstance(layer, nn.Dropout) for layer in relu.modules())
    assert len(STUDY.cases("paper")) == 2 * len(RATES)


def test_a_level_is_reached_between_two_epochs():
    assert epochs_until([0.7, 0.3, 0.1], 0.2, 0.9) == pytest.approx(2.5)
    assert epochs_until([0.1], 0.5, 0.9) == pytest.approx(0.5)
    assert epochs_until([0.7, 0.6], 0.2, 0.9) is None
    assert epochs_until([0.7, None, 0.1], 0.2, 0.9) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 0.9))
def test_a_level_is_reached_within_the_epoch_that_first_is_below_it(curve, level):
    found = epochs_until(curve, level, 0.9)
    below = [i for i, value in enumerate(curve) if value <= level]
    assert (found is None) == (not below)
    if found is not None:
        assert below[0] <= found <= below[0] + 1
