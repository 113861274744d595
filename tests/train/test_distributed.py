"""Processes that train together: they agree, they fail together, and alone nothing happens."""

import os
import time
from datetime import timedelta

import pytest
import torch.distributed as dist
from torch import nn

from convatlas.errors import FileError, InputError
from convatlas.train.distributed import ALONE, FailedElsewhereError, LostError, Ranks
from convatlas.train.joining import joined
from rank_processes import CONTEXT, environment, free_port, in_ranks


class TestAlone:
    def test_everything_is_as_it_is_given(self):
        assert ALONE.first
        assert ALONE.part == (0, 1)
        assert ALONE.sums(1.5, 2) == [1.5, 2]
        assert ALONE.any(True, False) == [True, False]
        assert ALONE.counts(7) == [7]
        assert ALONE.gathered("x") == ["x"]
        assert ALONE.of_first("x") == "x"
        assert ALONE.by_first(lambda: "x") == "x"
        assert ALONE.prepared(lambda: "x") == "x"

    def test_errors_are_the_callers(self):
        with pytest.raises(FileError, match="gone"):
            ALONE.prepared(fail_with(FileError("gone")))

    def test_without_torchrun_nothing_is_joined(self):
        with joined() as ranks:
            assert ranks == ALONE
        assert not dist.is_initialized()

    def test_one_process_of_torchrun_knows_that_it_was_restarted(self, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "1")
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
        with joined() as ranks:
            assert ranks == Ranks(restarted=True)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number, not 'two'"),
            ({"WORLD_SIZE": "2"}, "RANK must be a whole number, not ''"),
            ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "MASTER_PORT"),
            (
                {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "1"},
                "MASTER_ADDR is not set",
            ),
        ],
    )
    def test_half_an_environment_is_refused(self, monkeypatch, changes, message):
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=f"{message}.*start several processes with torchrun"):
            joined().__enter__()


def fail_with(error):
    def fail():
        raise error

    return fail


def agree(ranks):
    names = nn.BatchNorm2d(2)
    names.running_mean.fill_(ranks.rank)
    ranks.share_buffers(names)
    return {
        "part": ranks.part,
        "sums": ranks.sums(ranks.rank, 0.1, float("nan") if ranks.rank else 0),
        "any": ranks.any(ranks.rank == 2, False),
        "counts": ranks.counts(10 + ranks.rank),
        "gathered": ranks.gathered(f"from {ranks.rank}"),
        "of_first": ranks.of_first(ranks.rank),
        "by_first": ranks.by_first(lambda: os.environ["RANK"]),
        "buffer": names.running_mean.tolist(),
    }


def test_three_agree():
    found = in_ranks(3, agree)
    assert [one["part"] for one in found] == [(0, 3), (1, 3), (2, 3)]
    for one in found:
        assert one["sums"][:2] == [3, found[0]["sums"][1]]
        assert one["sums"][2] != one["sums"][2]
        assert one["any"] == [True, False]
        assert one["counts"] == [10, 11, 12]
        assert one["gathered"] == ["from 0", "from 1", "from 2"]
        assert one["of_first"] == 0
        assert one["by_first"] == "0"
        assert one["buffer"] == [0, 0]


def failures(ranks, guilty):
    """Give what each kind of common work raises, as text, when some of them fail."""
    found = []
    for call in (ranks.prepared, ranks.all_or_none, ranks.by_first):
        mistake = fail_with(FileError(f"broken in {ranks.rank}"))
        try:
            found.append(call(mistake if ranks.rank in guilty else lambda: "well"))
        except (FileError, InputError, FailedElsewhereError) as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def test_one_failure_is_everyones_and_the_first_says_it():
    first, second = in_ranks(2, failures, [1])
    assert first == ["InputError: process 1 of 2: broken in 1"] * 2 + ["well"]
    assert second == ["FailedElsewhereError: process 0 says why: broken in 1"] * 2 + ["well"]


def test_the_first_says_its_own_mistake():
    first, second = in_ranks(2, failures, [0, 1])
    assert first == ["FileError: broken in 0"] * 3
    assert second[2] == "FailedElsewhereError: process 0 says why: another one failed"


def who_comes_first(ranks):
    begun = time.monotonic()
    if ranks.first:
        time.sleep(0.3)
    return ranks.prepared(lambda: time.monotonic() - begun)


def test_the_first_of_a_machine_prepares_before_the_others():
    _, waited = in_ranks(2, who_comes_first)
    assert waited > 0.2


def prepare_for_long(rank, port, results):
    os.environ.update(environment(rank, 2, port) | {"LOCAL_RANK": "0", "GROUP_RANK": str(rank)})
    with joined(timedelta(seconds=1)) as ranks:
        ranks.prepared(lambda: time.sleep(2.5 * rank))
        results.put(ranks.sums(1))


def test_a_machine_may_download_for_longer_than_the_timeout():
    results, port = CONTEXT.Queue(), free_port()
    processes = [
        CONTEXT.Process(target=prepare_for_long, args=(rank, port, results)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [[2], [2]]
    for process in processes:
        process.join(10)


def compare(ranks, configs):
    ranks.check_alike(configs[ranks.rank])
    return "alike"


def test_what_all_were_given_alike_passes():
    assert in_ranks(2, compare, [{"a": 1}, {"a": 1}]) == ["alike", "alike"]


def test_what_differs_is_named():
    with pytest.raises(InputError, match=r"^images is 5 in process 1 and 4 in process 0: give all"):
        in_ranks(2, compare, [{"a": 1, "images": 4}, {"a": 1, "images": 5}])


def lose(ranks, how):
    if ranks.rank == 1:
        os._exit(0) if how == "dies" else time.sleep(60)
    return ranks.sums(1)


class TestLosing:
    """What is left when one dies or hangs: an error at once or after the timeout, no silence."""

    @pytest.mark.parametrize("how", ["dies", "hangs"])
    def test_the_others_say_so(self, how):
        results, port = CONTEXT.Queue(), free_port()
        processes = [
            CONTEXT.Process(target=lost, args=(rank, port, how, results)) for rank in (0, 1)
        ]
        for process in processes:
            process.start()
        try:
            message, seconds = results.get(timeout=60)
        finally:
            for process in processes:
                process.kill()
                process.join()
        assert message.startswith("process 0 of 2 has lost the others: ")
        assert "\n" not in message
        assert seconds < 30


def lost(rank, port, how, results):
    os.environ.update(environment(rank, 2, port))
    begun = time.monotonic()
    try:
        with joined(timedelta(seconds=2)) as ranks:
            begun = time.monotonic()
            lose(ranks, how)
    except LostError as error:
        results.put((str(error), time.monotonic() - begun))


def start_again(rank, port, restarts, results):
    """Be a worker of an agent that keeps its store, as torchrun does by default."""
    os.environ.update(environment(rank, 2, port))
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    os.environ["TORCHELASTIC_RESTART_COUNT"] = str(restarts)
    with joined(timedelta(seconds=10)) as ranks:
        results.put((ranks.restarted, ranks.sums(1)))
        results.close()
        results.join_thread()
        if restarts == 0:
            os._exit(1)  # leaves its address behind


def test_a_store_that_is_kept_does_not_lead_to_the_dead():
    port, results = free_port(), CONTEXT.Queue()
    agent = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    for restarts in (0, 1):
        processes = [
            CONTEXT.Process(target=start_again, args=(rank, port, restarts, results))
            for rank in (0, 1)
        ]
        for process in processes:
            process.start()
        assert [results.get(timeout=30) for _ in processes] == [(restarts > 0, [2])] * 2
        for process in processes:
            process.join(10)
            assert process.exitcode == (1 if restarts == 0 else 0)
    del agent
