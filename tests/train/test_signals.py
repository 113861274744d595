import os
import signal

import pytest

from convatlas.train.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_for_a_stop(number):
    with stop_on_signals() as switch:
        assert not switch()
        os.kill(os.getpid(), number)
        assert switch()
        assert switch.signal == number


@pytest.fixture
def interruptible():
    """Interrupt as Python does by itself; a job in the background is begun with that ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_one_does_what_it_always_did(interruptible):
    with stop_on_signals() as switch:
        os.kill(os.getpid(), signal.SIGTERM)
        assert switch.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals():
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
