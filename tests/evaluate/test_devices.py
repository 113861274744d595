"""Devices by name: what is there, what is refused, and in which words."""

import pytest
import torch

from convatlas.errors import InputError, UnknownNameError
from convatlas.evaluate.devices import device_words, devices, find_device


@pytest.fixture
def machine(monkeypatch):
    """Let torch see so many CUDA cards."""

    def with_cards(count, built=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.version, "cuda", "13.0" if built else None)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return with_cards


def test_the_processor_is_what_is_left(machine):
    machine(0)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")
    assert devices() == ["cpu"]
    assert device_words(torch.device("cpu")) == "cpu"


def test_cards_are_taken_by_number(machine):
    machine(2)
    assert find_device() == find_device("cuda") == torch.device("cuda:0")
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert find_device("cpu") == torch.device("cpu")
    assert devices() == ["cpu", "cuda:0", "cuda:1"]


def test_each_process_takes_its_own(machine):
    machine(2)
    for name in ("auto", "cuda"):
        assert [str(find_device(name, (n, 2))) for n in (0, 1)] == ["cuda:0", "cuda:1"]
    assert find_device("cpu", (3, 4)) == torch.device("cpu")
    with pytest.raises(InputError, match=r"a card each: give --device cuda, not cuda:1"):
        find_device("cuda:1", (0, 2))


def test_cards_that_are_too_few_are_left_alone_or_missed(machine):
    machine(2)
    assert {str(find_device("auto", (n, 3))) for n in range(3)} == {"cpu"}
    with pytest.raises(
        InputError, match="no cuda for each of 3 processes here, only cpu and cuda:0"
    ):
        find_device("cuda", (2, 3))


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_a_card_that_is_not_there(machine, name):
    machine(0)
    with pytest.raises(InputError, match=f"^there is no {name} here, only cpu$"):
        find_device(name)
    machine(0, built=False)
    with pytest.raises(InputError, match="only cpu; this torch was built without CUDA"):
        find_device(name)


def test_apples_cards_are_taken_by_name_alone(machine, monkeypatch):
    machine(0)
    with pytest.raises(InputError, match="there is no mps here, only cpu"):
        find_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("mps") == torch.device("mps")
    assert find_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "meta", "CUDA"])
def test_other_names_are_refused(machine, name):
    machine(1)
    with pytest.raises(UnknownNameError, match=f"no device named {name!r}"):
        find_device(name)
