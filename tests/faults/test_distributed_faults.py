"""F2, F3, F12, F13: of several processes one is lost, or a machine; started again, they go on.

The short form forks workers from one process; the full one starts torchrun itself.
"""

import os
import random
import signal
import time

import pytest
from agents import Agent, Torchrun
from counts import rounds
from faulty_runs import outcome

from convatlas.train.distributed import Ranks
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
from rank_processes import free_port

LONG = 12  # epochs that take longer than any kill waits


@pytest.fixture
def agent(pictures):
    """Give `agent(size, kind, **settings)`, which forks workers."""
    agents = []

    def make(size, kind, **settings):
        agents.append(Agent(size, kind, pictures, **settings))
        return agents[-1]

    yield make
    for one in agents:
        one.end()


@pytest.fixture
def torchrun(pictures, tmp_path):
    """Give `torchrun(arguments, out, kind, epochs, **settings)`."""
    launched = []

    def launch(arguments, out, kind, epochs, **settings):
        log = tmp_path / f"log-{len(launched)}"
        launched.append(Torchrun(log, arguments, out, kind, pictures, epochs, **settings))
        return launched[-1]

    yield launch
    for one in launched:
        one.end()


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def kept(folder):
    """Give the checkpoints of either form."""
    return {path.name for path in (folder / "checkpoints").glob("s*-*")}


def check_left(folder, expected):
    assert outcome(folder) == outcome(expected)
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob(".shards-*"))


@rounds(1, 10)
def test_f2_one_of_two_is_killed(agent, tmp_path, seed):
    kill_one_of_two("ddp", agent, tmp_path, seed)


@rounds(0, 10)
def test_f3_one_of_two_that_share_the_weights_is_killed(agent, tmp_path, seed):
    kill_one_of_two("fsdp", agent, tmp_path, seed)


def kill_one_of_two(kind, agent, tmp_path, seed):
    agent(2, kind, out=tmp_path / "undisturbed").finish()
    draw, killed = random.Random(seed), agent(2, kind, out=tmp_path / "killed")
    for _ in range(1 if seed == 0 else 4):
        known = kept(tmp_path / "killed")
        killed.start()
        wait_for(lambda known=known: kept(tmp_path / "killed") - known)
        time.sleep(draw.uniform(0, 0.3))
        os.kill(draw.choice(killed.processes).pid, signal.SIGKILL)
        begun = time.monotonic()
        if -signal.SIGKILL not in killed.wait():
            break  # it was done before the signal came
        assert time.monotonic() - begun < 30  # the other one does not wait for the timeout
    killed.finish()
    check_left(tmp_path / "killed", tmp_path / "undisturbed")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("fresh_store", [False, True], ids=["kept store", "fresh store"])
@rounds(0, 5)
def test_f2_f3_torchrun_starts_them_again(agent, torchrun, kind, fresh_store, tmp_path, seed):
    draw, out = random.Random(seed), tmp_path / "killed"
    arguments = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    run = torchrun(arguments, out, kind, LONG, fresh_store=fresh_store)
    wait_for(lambda: len(kept(out)) > 1)
    time.sleep(draw.uniform(0, 3))
    os.kill(draw.choice(run.workers()), signal.SIGKILL)
    run.wait(600)
    assert run.log.read_text().count("goes on from step") == 1
    agent(2, kind, out=tmp_path / "undisturbed", epochs=LONG).finish()
    check_left(out, tmp_path / "undisturbed")


def test_a_finished_run_is_not_done_again(pictures, tmp_path):
    start_run("lenet5_modern", pictures, out=tmp_path, epochs=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # torchrun starts it again when a worker aborts at its exit, without --resume
    options = RunOptions(ranks=Ranks(restarted=True))
    result = start_run("lenet5_modern", pictures, out=tmp_path, epochs=1, options=options)
    assert result.state == "finished"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "sizes",
    [(2, 1), *(pytest.param(sizes, marks=pytest.mark.slow) for sizes in ((2, 1, 3), (1, 4, 2)))],
)
def test_f12_on_another_number_of_processes(sizes, agent, tmp_path):
    agent(1, "plain", out=tmp_path / "alone").finish()
    go_on_in(sizes, "plain", agent, tmp_path / "changing")
    found, expected = (outcome(tmp_path / name)[-1] for name in ("changing", "alone"))
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_f12_spread_weights_on_another_number_of_processes(agent, tmp_path):
    go_on_in((2, 3, 1), "fsdp", agent, tmp_path / "changing")
    agent(2, "fsdp", out=tmp_path / "two").finish()
    found, expected = (outcome(tmp_path / name)[-1] for name in ("changing", "two"))
    assert [one["step"] for one in found] == [one["step"] for one in expected]
    assert found[0] == pytest.approx(expected[0], rel=1e-3, abs=1e-3)


def go_on_in(sizes, kind, agent, out):
    """Let each of several groups of processes do four steps, and the last one the rest."""
    *first, last = sizes
    for size in first:
        agent(size, kind, out=out, resume=True, stop_at=4).finish()
    agent(last, kind, out=out, resume=True).finish()


@pytest.mark.timeout(900)
@rounds(0, 2)
def test_f13_a_machine_is_lost_and_another_one_comes(agent, torchrun, tmp_path, seed):
    draw, out, port = random.Random(seed), tmp_path / "run", free_port()
    arguments = ["--nnodes", "1:2", "--nproc-per-node", "1", "--max-restarts", "3"]
    arguments += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    arguments += ["--rdzv-id", "test", "--local-addr", "127.0.0.1", "--monitor-interval", "0.5"]
    quick = "last_call_timeout=5,keep_alive_interval=1,keep_alive_max_attempt=3"
    arguments += ["--rdzv-conf", quick]
    machines = []
    for _ in range(2):
        machines.append(torchrun(arguments, out, "plain", 100, fresh_store=True))
        time.sleep(2)  # the first one keeps the rendezvous, and outlives the others
    wait_for(lambda: len(kept(out)) > 1)
    time.sleep(draw.uniform(0, 2))
    machines[1].end()
    known = kept(out)
    wait_for(lambda: len(kept(out) - known) > 1)  # it goes on alone
    torchrun(arguments, out, "plain", 100, fresh_store=True)
    machines[0].wait(600)
    agent(1, "plain", out=tmp_path / "alone", epochs=100).finish()
    found, expected = (outcome(folder)[-1] for folder in (out, tmp_path / "alone"))
    assert [one["step"] for one in found] == [one["step"] for one in expected]
    assert found[0] == pytest.approx(expected[0], rel=1e-5, abs=1e-5)
