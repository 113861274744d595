"""What the allocator of the processor counts while a network answers or trains."""

from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

BATCH = 16  # or more: torch gives all convolutions to oneDNN, however many threads there are


def counted(run: Callable[[], None], model: nn.Module) -> int:
    """Give the most bytes that the allocator has handed out at once during a run."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()
    changes = sorted(
        ((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"),
        key=lambda change: change[0],
    )
    taken = highest = 0
    for _, nbytes in changes:
        taken += nbytes
        highest = max(highest, taken)
    weights = (*model.parameters(), *model.buffers())
    return highest + sum(tensor.untyped_storage().nbytes() for tensor in weights)


def answer(model: nn.Module, shape: tuple[int, ...], precision: str) -> int:
    model.eval()

    def run() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
            model(torch.zeros(BATCH, *shape))

    return counted(run, model)


def train(model: nn.Module, shape: tuple[int, ...], precision: str, adam: bool = False) -> int:
    model.train().zero_grad()

    def run() -> None:
        if adam:
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
        else:
            optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=1e-4)
        for _ in range(2):
            optimizer.zero_grad()
            images = torch.zeros(BATCH, *shape)
            labels = torch.zeros(BATCH, dtype=torch.long)
            with torch.autocast("cpu", torch.bfloat16, precision == "bfloat16"):
                loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            del images, labels, loss

    return counted(run, model)
