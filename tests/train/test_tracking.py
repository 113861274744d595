"""What trackers are told, and that a broken one stops nobody."""

import sys
from types import SimpleNamespace

import pytest

from convatlas.errors import InputError, UnknownNameError
from convatlas.train.events import EpochDone, Notice, StepDone
from convatlas.train.tracking import STEPS_APART, check_trackers, tracked

CONFIG = {"architecture": "lenet5", "recipe": {"epochs": 2, "optimizer": {"lr": 0.1}}}


def step(number: int, loss: float = 1.0) -> StepDone:
    return StepDone(1, 2, number, 60, loss, 0.5, 100.0)


def epoch(number: int, accuracy: float) -> EpochDone:
    record = {"epoch": number, "step": 60 * number, "val_accuracy": accuracy, "lr": 0.1}
    return EpochDone(2, record | {"train_loss": 0.25})


def scalars(folder):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        tag: {e.step: pytest.approx(e.value) for e in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_gets_every_epoch_and_some_steps(tmp_path):
    told = []
    with tracked(told.append, ["tensorboard"], tmp_path, CONFIG) as tell:
        for number in range(1, 61):
            tell(step(number, 1 / number))
        tell(epoch(1, 0.75))
    assert len(told) == 61
    found = scalars(tmp_path)
    assert found["accuracy/val"] == {60: 0.75}
    assert found["loss/train"] == {60: 0.25}
    assert list(found["running/train_loss"]) == [STEPS_APART, 2 * STEPS_APART, 3 * STEPS_APART]
    assert "run/step" not in found


def test_what_a_killed_run_told_too_early_is_dropped(tmp_path):
    with tracked(lambda _: None, ["tensorboard"], tmp_path, CONFIG) as tell:
        tell(epoch(1, 0.5))
        tell(epoch(2, 0.1))  # later than the last checkpoint
    with tracked(lambda _: None, ["tensorboard"], tmp_path, CONFIG) as tell:
        tell(epoch(2, 0.9))
    assert scalars(tmp_path)["accuracy/val"] == {60: 0.5, 120: 0.9}


class Server(SimpleNamespace):
    """What of the module mlflow is called, in memory."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__(runs={}, tags={}, params={}, metrics=[], active=None, broken=broken)

    def search_runs(self, filter_string, output_format):
        assert output_format == "list"
        folder = filter_string.split("'")[1]
        found = [run for run, name in self.tags.items() if name == folder]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run)) for run in found]

    def start_run(self, run_id=None, run_name=None):
        self.active = run_id or f"run{len(self.runs)}"
        self.runs.setdefault(self.active, run_name)

    def set_tag(self, key, value):
        assert key == "folder"
        self.tags[self.active] = value

    def log_params(self, params):
        self.params |= params

    def log_metrics(self, metrics, step):
        if self.broken:
            raise ConnectionError("the server\nis gone")
        self.metrics.append((self.active, step, metrics))

    def end_run(self):
        self.active = None


def test_mlflow_gets_settings_and_metrics_and_a_resumed_run_goes_on(tmp_path, monkeypatch):
    server = Server()
    monkeypatch.setitem(sys.modules, "mlflow", server)
    for number in (1, 2):
        with tracked(lambda _: None, ["mlflow"], tmp_path, CONFIG) as tell:
            tell(epoch(number, 0.5))
        assert server.active is None
    assert server.params["recipe.optimizer.lr"] == "0.1"
    assert list(server.runs.items()) == [("run0", tmp_path.name)]
    assert [(run, step) for run, step, _ in server.metrics] == [("run0", 60), ("run0", 120)]
    assert server.metrics[0][2]["accuracy/val"] == 0.5


def test_a_broken_tracker_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", Server(broken=True))
    told = []
    with tracked(told.append, ["mlflow"], tmp_path, CONFIG) as tell:
        tell(epoch(1, 0.5))
        tell(epoch(2, 0.6))
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert notices == ["mlflow takes no more metrics, training goes on: the server is gone"]
    assert len(told) == 3


def test_an_error_of_the_training_passes_and_closes(tmp_path, monkeypatch):
    server = Server()
    monkeypatch.setitem(sys.modules, "mlflow", server)
    with (
        pytest.raises(RuntimeError, match="of the training"),
        tracked(lambda _: None, ["mlflow"], tmp_path, CONFIG),
    ):
        raise RuntimeError("of the training")
    assert server.active is None


def test_unknown_and_missing_trackers_are_refused(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean: tensorboard"):
        check_trackers(["tensorbord"])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"mlflow is not installed: pip install 'convatlas\[mlf"):
        check_trackers(["mlflow"])
