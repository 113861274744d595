import pytest
import torch

from convatlas.train.run import start_run
from convatlas.train.threads import SMALL_STEP_MACS, threads_for


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("macs", "threads"), [(SMALL_STEP_MACS / 2, 1), (SMALL_STEP_MACS, 2), (1e12, 2)]
)
def test_small_steps_take_one_thread(macs, threads, two_threads):
    with threads_for(macs):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_the_callers_threads_come_back_after_an_error(two_threads):
    with pytest.raises(ZeroDivisionError), threads_for(0):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_a_run_of_a_small_network_takes_one(two_threads, pictures, tmp_path):
    seen = []
    start_run(
        "lenet5_modern",
        pictures,
        out=tmp_path / "run",
        epochs=1,
        progress=lambda _: seen.append(torch.get_num_threads()),
    )
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
