"""What a run leaves of its network: the best one of the validations so far, and the last one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from convatlas.train.beginning import keep
from convatlas.train.folder import RunFiles, read_json, write_json
from convatlas.train.options import RunOptions
from convatlas.train.plan import Plan
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.validation import test_network
from convatlas.weights.store import save

_KEPT = ("classes", "preprocessing", "source", "recipe_name", "recipe", "seed")


def keep_best(
    files: RunFiles, plan: Plan, config: Mapping[str, Any], options: RunOptions, state: State
) -> None:
    """Write the network aside if the epoch that has just ended validated better than all before.

    Before the checkpoint of that epoch: a run that is killed in between does the epoch again.

    Raises:
        FileError: The disk is full; the former best one stays.
    """
    accuracies = [record["val_accuracy"] for record in state.records]
    ended = bool(state.records) and state.step == state.epoch_begun
    if not ended or accuracies[-1] <= max(accuracies[:-1], default=-1.0):
        return
    network = plan.final_network(state.result)
    options.ranks.by_first(lambda: _save(network, files.best, config, _validation(state)))


def finish(
    files: RunFiles,
    plan: Plan,
    config: Mapping[str, Any],
    state: State,
    options: RunOptions,
    stop: Callable[[], bool],
) -> None:
    """Test the last network and write it; what a former process has done is not done again.

    Raises:
        StoppedError: `stop` said so during the test.
        FileError: The disk is full; nothing half-written stays.
    """
    ranks = options.ranks
    if state.finished:
        return

    def stop_if_asked(*_: int) -> None:
        if ranks.size == 1 and stop():  # several would have to agree
            raise StoppedError  # the state after the last epoch is kept already

    if not ranks.by_first(files.test.exists):
        evaluation = test_network(state, plan.task, plan.source.test, options, stop_if_asked)
        ranks.by_first(lambda: write_json(files.test, evaluation.to_dict()))
    network = plan.final_network(state.result)

    def write() -> None:
        metrics = _validation(state) | {"test": plan.task.summary(read_json(files.test))}
        _save(network, files.model, config, metrics)

    ranks.by_first(write)
    state.finished = True
    keep(files, options, state)


def _validation(state: State) -> dict[str, Any]:
    last = state.records[-1]
    epochs = len(state.records)
    return {"epochs": epochs, "val_accuracy": last["val_accuracy"], "val_loss": last["val_loss"]}


def _save(
    network: nn.Module, path: Path, config: Mapping[str, Any], metrics: dict[str, Any]
) -> None:
    save(network, path, {key: config[key] for key in _KEPT} | {"metrics": metrics})
