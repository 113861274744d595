"""Start processes as torchrun does, but forked from one that has imported torch."""

import multiprocessing
import os
import socket

import torch

from convatlas.train.joining import joined

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["convatlas.train.run", "pytest"])


class TakingTurns:
    """One of several processes that run one after the other; the last one sees what all found."""

    def __init__(self, rank, size, board):
        self.part, self.board = (rank, size), board

    def together(self, call):
        self.board.append(call(self.part))
        return self.board


def in_ranks(size, call, *arguments):
    """Give what `call(ranks, *arguments)` gave in each process, in the order of the ranks.

    What one of them has raised is raised here.
    """
    results = CONTEXT.Queue()
    port = free_port()
    processes = [
        CONTEXT.Process(target=_be_rank, args=(call, arguments, rank, size, port, results))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    try:
        found = sorted((results.get(timeout=100) for _ in processes), key=lambda one: one[0])
    finally:
        for process in processes:
            process.join(5)
            process.kill()
            process.join()
    errors = [error for _, _, error in found if error is not None]
    # when one fails, the others lose their connection to it
    for error in sorted(errors, key=lambda error: "onnection" in str(error)):
        raise error
    return [value for _, value, _ in found]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def environment(rank, size, port):
    """Give what torchrun tells a process."""
    values = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    return {name: str(value) for name, value in values.items()}


def _be_rank(call, arguments, rank, size, port, results):
    os.environ.update(environment(rank, size, port))
    multiprocessing.set_start_method("fork", force=True)  # not from the server of this process
    torch.set_num_threads(1)
    try:
        with joined() as ranks:
            value = call(ranks, *arguments)
    except BaseException as error:  # it is raised where it is looked at
        results.put((rank, None, error))
    else:
        results.put((rank, value, None))
