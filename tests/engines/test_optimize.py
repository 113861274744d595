"""The choice among engines, its memory, and what it says when it can't."""

import importlib.util
import json

import pytest
import torch
from installed import need
from torch import Tensor, nn

import convatlas as ca
from convatlas.catalog import build
from convatlas.engines import machine, optimize, roster
from convatlas.engines.engine import EngineError, EngineWarning
from convatlas.engines.timing import Timing, measure
from convatlas.errors import InputError


class Fake:
    """An engine that answers as told, and counts how often it was prepared."""

    extra, precisions, devices, quick = "", ("float32", "bfloat16"), ("cpu",), True

    def __init__(self, name: str, wrong: float = 0.0, says: str = "", fails: str = "") -> None:
        self.name, self.wrong, self.says, self.fails, self.times = name, wrong, says, fails, 0

    def missing(self, _: str) -> str:
        return self.says

    def versions(self) -> dict[str, str]:
        return {self.name: "1"}

    def prepare(self, order):
        self.times += 1
        if self.fails:
            raise EngineError(self.fails)
        return Answer(order.model, self.wrong)


class Answer:
    def __init__(self, model: nn.Module, wrong: float) -> None:
        self.model, self.wrong = model, wrong

    def run(self, x: Tensor) -> Tensor:
        logits = self.model(x).detach()
        return logits + self.wrong * logits.abs().max()

    def report(self) -> dict:
        return {}


@pytest.fixture
def engines(monkeypatch):
    """Give `engines(*fakes, milliseconds=...)`, which puts fakes in the place of all engines."""

    def put(*fakes: Fake, milliseconds: dict[str, float] | None = None) -> None:
        monkeypatch.setattr(roster, "ENGINES", {fake.name: fake for fake in fakes})
        monkeypatch.setattr(optimize, "ENGINES", roster.ENGINES)
        if milliseconds:
            monkeypatch.setattr(
                optimize,
                "measure",
                lambda runs, _, **_how: {
                    n: Timing(milliseconds[n.split()[0]], 0, 9, 1) for n in runs
                },
            )

    return put


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


X = torch.ones(2, 1, 6, 6)


def test_the_quickest_is_kept(engines, net):
    engines(Fake("a"), Fake("b"), Fake("c"), milliseconds={"a": 3, "b": 1, "c": 2})
    found = ca.optimize(net, X)
    assert found.engine == "b"
    assert {name: t.median_ms for name, t in found.timings.items()} == {
        "a float32": 3,
        "b float32": 1,
        "c float32": 2,
    }
    assert repr(found) == "Optimized(b, float32, (2, 1, 6, 6))"


def test_an_engine_beyond_the_tolerance_is_left_out_and_said(engines, net):
    engines(Fake("a"), Fake("b", wrong=0.01), milliseconds={"a": 3, "b": 1})
    with pytest.warns(EngineWarning, match=r"b float32 is left out: .* error of 1.0e-02, beyond"):
        found = ca.optimize(net, X)
    assert found.engine == "a"
    assert "beyond 1e-04" in found.left_out["b float32"]
    assert ca.optimize(net, X, tolerance=0.1).engine == "b"


def test_an_engine_that_gives_nan_is_left_out(engines, net):
    engines(Fake("a"), Fake("b", wrong=float("nan")), milliseconds={"a": 3, "b": 1})
    with pytest.warns(EngineWarning, match="error of nan"):
        assert ca.optimize(net, X).engine == "a"


def test_an_engine_that_fails_is_left_out_and_said(engines, net):
    engines(Fake("a"), Fake("b", fails="no operator lrn"), milliseconds={"a": 3})
    with pytest.warns(EngineWarning, match="b float32 is left out: no operator lrn"):
        assert ca.optimize(net, X).engine == "a"


def test_one_that_is_not_installed_is_left_out_in_silence(engines, net):
    engines(Fake("a"), Fake("b", says="b needs bb: pip install 'convatlas[b]'"))
    found = ca.optimize(net, X)
    assert found.left_out == {"b": "b needs bb: pip install 'convatlas[b]'"}
    with pytest.raises(InputError, match=r"b needs bb: pip install 'convatlas\[b\]'"):
        ca.optimize(net, X, engine="b")


def test_the_one_asked_for_must_be_within_the_tolerance(engines, net):
    engines(Fake("a", wrong=0.5))
    with pytest.raises(EngineError, match=r"a in float32 has a relative error of 5.0e-01"):
        ca.optimize(net, X, engine="a")


def test_a_choice_is_remembered_for_the_same_question(engines, net):
    a, b = Fake("a"), Fake("b")
    engines(a, b, milliseconds={"a": 3, "b": 1})
    ca.optimize(net, X)
    again = ca.optimize(net, X)
    assert (again.engine, a.times, b.times) == ("b", 1, 2)
    assert again.timings["b float32"].median_ms == 1
    ca.optimize(net, X, remembered=False)
    assert a.times == 2
    ca.optimize(net, X[:1])  # another shape
    assert a.times == 3
    ca.optimize(nn.Sequential(*net, nn.Identity()), X)  # another network
    assert a.times == 4
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    ca.optimize(net, X)
    torch.set_num_threads(threads)
    assert a.times == 5


def test_a_remembered_choice_that_is_no_longer_right_is_made_again(engines, net):
    engines(Fake("a"), Fake("b"), milliseconds={"a": 3, "b": 1})
    ca.optimize(net, X)
    engines(Fake("a"), Fake("b", wrong=1.0), milliseconds={"a": 3, "b": 1})
    with pytest.warns(EngineWarning, match="b float32 is left out"):
        assert ca.optimize(net, X).engine == "a"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"k": 3}'])
def test_a_damaged_memory_costs_time_only(engines, net, cache, text):
    engines(Fake("a"), Fake("b"), milliseconds={"a": 3, "b": 1})
    ca.optimize(net, X)
    file = cache / "engines" / "choices.json"
    key = next(iter(json.loads(file.read_text())))
    file.write_text(text.replace("k", key))
    assert ca.optimize(net, X).engine == "b"


def test_what_is_far_behind_runs_once(engines, net, monkeypatch):
    engines(Fake("a"), Fake("b"), Fake("c"))
    milliseconds, asked = {"a": 1.0, "b": 1.4, "c": 1.6}, []

    def measured(runs, _, rounds=5, **how):
        asked.append(sorted(name.split()[0] for name in runs))
        return {n: Timing(9, milliseconds[n.split()[0]], 9, rounds) for n in runs}

    monkeypatch.setattr(optimize, "measure", measured)
    found = ca.optimize(net, X)
    assert asked == [["a", "b", "c"], ["a", "b"]]
    assert {name.split()[0]: t.rounds for name, t in found.timings.items()} == {
        "a": 5,
        "b": 5,
        "c": 3,
    }


def test_automatic_precision_takes_the_quickest_within_the_tolerance(engines, net, monkeypatch):
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: True)
    engines(Fake("a"), Fake("b"), milliseconds={"a": 3, "b": 1})
    monkeypatch.setattr(
        optimize,
        "measure",
        lambda runs, _, **_how: {n: Timing(1 if n == "a bfloat16" else 2, 0, 9, 1) for n in runs},
    )
    found = ca.optimize(net, X, precision="auto")
    assert (found.engine, found.precision) == ("a", "bfloat16")
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: False)
    assert ca.optimize(net, X, precision="auto").precision == "float32"


def test_a_precision_that_the_machine_lacks_is_told(net, monkeypatch):
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: False)
    with pytest.raises(InputError, match="the cpu of this machine has no bfloat16 arithmetic"):
        ca.optimize(net, X, precision="bfloat16")


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"engine": "openvin"}, "no engine named 'openvin'; did you mean: openvino"),
        ({"precision": "float16"}, "no precision named 'float16'; did you mean: .*float32"),
        ({"precision": "int8"}, "int8 is calibrated with real images: give images="),
        ({"engine": "eager", "tolerance": 0.0}, "a tolerance is above 0, not 0.0"),
        (
            {"engine": "onnxruntime", "precision": "int8", "images": X},
            "the engine onnxruntime computes in float32, not in int8",
        ),
    ],
)
def test_what_can_not_be_is_one_clear_line(net, asked, line):
    with pytest.raises((InputError, KeyError), match=line):
        ca.optimize(net, X, **asked)


def test_images_that_the_network_does_not_take_are_told():
    with pytest.raises(InputError, match="takes 1 channels; got 3"):
        ca.optimize(build("lenet5_modern"), torch.ones(1, 3, 32, 32), engine="eager")
    with pytest.raises(InputError, match=r"a tensor of float32, not of torch.uint8"):
        ca.optimize(build("lenet5_modern"), torch.ones(1, 1, 32, 32, dtype=torch.uint8))


def test_another_shape_than_was_prepared_for_is_told(net):
    found = ca.optimize(net, X, engine="eager")
    with pytest.raises(InputError, match=r"prepared for images \(2, 1, 6, 6\); got \(3, 1, 6, 6\)"):
        found(torch.ones(3, 1, 6, 6))


def test_broken_weights_are_told(net):
    with torch.no_grad():
        net[0].weight.fill_(float("nan"))
    with pytest.raises(InputError, match="logits that are not finite"):
        ca.optimize(net, X, engine="eager")


def test_too_few_images_to_calibrate_with_are_told(network, images):
    pytest.importorskip("nncf", reason="int8 needs nncf")
    with pytest.raises(InputError, match=r"at least 8; got 2: give images="):
        ca.optimize(network, images, precision="int8", images=images)


@pytest.mark.slow
def test_automatic_choice_among_the_real_ones(network, images):
    need("openvino")
    found = ca.optimize(network, images)
    assert found.engine in roster.ENGINES
    assert "eager float32" in found.timings
    assert "ask for it by name" in found.left_out["compiled"]
    with torch.no_grad():
        torch.testing.assert_close(found(images), network(images), rtol=1e-4, atol=1e-4)


def test_each_has_its_turns():
    calls = []
    found = measure(
        {name: lambda x, name=name: calls.append(name) or x for name in "ab"},
        X,
        rounds=3,
        block_seconds=0,
    )
    assert calls == list("aabbbbaaaabb")  # each turn begins with a call that is not timed
    assert all(t.least_ms <= t.median_ms <= t.greatest_ms for t in found.values())


def test_where_no_engine_can_the_extra_is_named(net, monkeypatch):
    absent = {"openvino", "nncf"}
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in absent else found(name)
    )
    with pytest.raises(InputError, match=r"openvino: pip install 'convatlas\[openvino\]'"):
        ca.optimize(net, X, precision="int8", images=X)
    absent.remove("openvino")
    monkeypatch.setattr("convatlas.export.openvino.PACKAGES", ("json",))
    with pytest.raises(InputError, match=r"int8 needs nncf: pip install 'convatlas\[int8\]'"):
        ca.optimize(net, X, precision="int8", images=X)
