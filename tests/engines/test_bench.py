"""Measurements of engines side by side: the plan, the turns, and processes that fail."""

import contextlib
import copy
from functools import partial

import pytest
import torch

from convatlas.engines import turns
from convatlas.engines.bench import bench, plan
from convatlas.engines.turns import work
from convatlas.engines.worker import Job, fresh, prepared
from convatlas.memory import forget_peak, peak_bytes


class Line:
    """A connection to a process that answers from a list."""

    def __init__(self, *answers) -> None:
        self.answers, self.sent = copy.deepcopy(list(answers)), []

    def send(self, message) -> None:
        self.sent.append(message)

    def recv(self):
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


READY = {"prepare_seconds": 1.0, "relative_error": 1e-6, "threads": 1, "report": {}}


@pytest.fixture
def lines(monkeypatch):
    """Give `lines(*lines)`, which lets these answer in the place of processes."""

    def put(*given: Line) -> None:
        left = list(given)
        monkeypatch.setattr(turns, "_process", lambda _: contextlib.nullcontext(left.pop(0)))

    return put


def test_a_plan_holds_the_engines_of_a_network_and_batch_together():
    jobs = plan(["lenet5", "alexnet"], ["eager", "compiled"], ["float32"], [1, 16], threads=2)
    assert [[(j.network, j.batch, j.engine) for j in group] for group in jobs] == [
        [(network, batch, engine) for engine in ("eager", "compiled")]
        for network in ("lenet5", "alexnet")
        for batch in (1, 16)
    ]
    assert all(job.threads == 2 for group in jobs for job in group)
    assert "compiled" not in {job.engine for job in plan(["lenet5"])[0]}


def test_rows_are_medians_and_ratios_to_the_first(lines):
    one = Line(READY, (90.0, 8), (10.0, 5), (30.0, 7), (20.0, 6))  # the first does not count
    two = Line(READY, (1.0, 9), (5.0, 9), (4.0, 9), (6.0, 9))
    lines(one, two)
    steps = []
    jobs = [Job("lenet5", 4, "eager"), Job("lenet5", 4, "openvino")]
    rows = bench(jobs, rounds=3, block_seconds=0.1, progress=lambda *at: steps.append(at))
    assert [row.latency.median_ms for row in rows] == [20.0, 5.0]
    assert [row.images_per_second for row in rows] == [200.0, 800.0]
    assert [row.ratio for row in rows] == [1.0, 4.0]
    assert rows[0].peak_bytes == 6
    assert steps == [(i, 8) for i in range(1, 9)]
    assert one.sent == [0.1] * 4
    assert rows[0].to_dict()["engine"] == "eager"


def test_what_fails_is_a_row_that_says_why(lines):
    refused = Line("no operator")
    dies = Line(READY, (10.0, 5))
    lines(refused, dies, Line(READY, (9.0, 5), (8.0, 5), (8.0, 5)))
    rows = bench([Job("lenet5", 1, name) for name in ("a", "b", "c")], rounds=2)
    assert [row.refused for row in rows] == [
        "no operator",
        "its process died: the memory may be too small",
        "",
    ]
    assert [row.ratio for row in rows] == [0.0, 0.0, 1.0]


def test_a_process_prepares_and_runs_until_it_is_told_to_stop(monkeypatch, cache):
    line = Line(0.0, 0.0, None)
    work(line, partial(prepared, Job("lenet5_modern", 2, "eager")))
    facts, *answers = line.sent
    assert facts["relative_error"] < 1e-4
    assert all(milliseconds > 0 and peak > 1e6 for milliseconds, peak in answers)
    assert len(answers) == 2


def test_a_process_tells_in_a_line_what_can_not_be():
    line = Line()
    work(line, partial(prepared, Job("lenet5_modern", 1, "eager", input_shape=(1, 20, 20))))
    assert "lenet5_modern" in line.sent[0] or "32" in line.sent[0]


def test_values_neither_grow_nor_fade_in_a_fresh_network():
    torch.manual_seed(0)
    model = fresh("plain32_cifar", (3, 32, 32))
    with torch.no_grad():
        spread = model(torch.randn(4, 3, 32, 32)).std()
    assert 0.01 < spread < 100
    assert not model.training


def test_the_peak_counts_from_when_it_is_asked_to():
    if not forget_peak():
        pytest.skip("the system can't forget a peak")
    before = peak_bytes()
    held = torch.ones(16 * 2**20)
    assert peak_bytes() > before + 60e6
    del held


@pytest.mark.slow
def test_kept_memory_computes_the_same():
    """In a process of its own: the setting holds until the process ends."""
    import subprocess
    import sys

    code = """
import torch
from convatlas.memory import keep_memory
conv, x = torch.nn.Conv2d(3, 64, 3), torch.ones(4, 3, 200, 200)
before = conv(x)
kept = keep_memory()
for _ in range(3):
    assert torch.equal(conv(x), before)
big = torch.ones(2**26)  # more than one heap takes
print(kept, big.sum().item() == 2**26)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(_is_glibc()), "True"], done.stderr


def _is_glibc() -> bool:
    import platform

    return platform.libc_ver()[0] == "glibc"
