"""What papers print of a network, networks side by side, and the chart of them."""

import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from convatlas import catalog
from convatlas.analysis.bubbles import draw_bubbles
from convatlas.analysis.compare import Comparison, Entry, compare
from convatlas.analysis.ledger import Claim, read_ledger
from convatlas.analysis.published import Published, common_test, published_errors
from convatlas.analysis.report import Report, analyze
from convatlas.errors import FileError, InputError, UnknownNameError


@pytest.fixture(scope="module")
def ledger() -> list[Claim]:
    return read_ledger()


@pytest.fixture(scope="module")
def drawable(ledger: list[Claim]) -> Comparison:
    """Networks with what is drawn of them; their memory is not."""
    names = ["lenet5", "alexnet", "vgg16", "googlenet", "resnet50", "mobilenet_v1_050"]
    results = {name: published_errors(name, ledger) for name in names}
    chosen = common_test(results)
    entries = [Entry(analyze(name), 0, 0, chosen.get(name), tuple(results[name])) for name in names]
    return Comparison(1, tuple(entries))


def test_a_paper_s_own_errors_are_found(ledger: list[Claim]) -> None:
    found = {result.protocol: result for result in published_errors("resnet50", ledger)}
    ten = found["10 crops"]
    assert (ten.top1_error, ten.top5_error, ten.own) == (22.85, 6.71, True)
    assert ten.source == "He et al. 2015 (1512.03385), Table 3"
    assert ten.test == "ImageNet, 10 crops"
    assert not found["1 crop"].own


def test_ensembles_and_changed_networks_do_not_count(ledger: list[Claim]) -> None:
    top5 = {result.top5_error for result in published_errors("alexnet", ledger)}
    assert 18.2 in top5
    assert not top5 & {15.3, 15.4, 16.4, 16.6, 18.1}  # ensembles, more images, a replication
    assert {result.top5_error for result in published_errors("resnet18", ledger)} <= {None}
    assert not any(r.top5_error == 6.67 for r in published_errors("googlenet", ledger))


def test_a_claim_on_a_changed_spec_is_about_the_network_of_that_spec(ledger: list[Claim]) -> None:
    assert published_errors("mobilenet_v1_050", ledger)[0].top1_error == 100 - 63.7
    bypass = published_errors("squeezenet1_0_bypass", ledger)
    assert [(result.top1_error, result.top5_error) for result in bypass] == [(39.6, 17.5)]
    option_b = {result.top1_error for result in published_errors("resnet34", ledger)}
    assert 24.52 in option_b
    assert not option_b & {25.03, 24.19}  # options A and C


def test_errors_are_percentages(ledger: list[Claim]) -> None:
    claims = [claim for claim in ledger if "error" in claim.quantity]
    names = catalog.variants()[::5]
    found = [(name, result) for name in names for result in published_errors(name, claims)]
    assert len(found) > 20
    for name, result in found:
        errors = [e for e in (result.top1_error, result.top5_error) if e is not None]
        assert errors, name
        assert all(0.2 < error < 60 for error in errors), name
        assert errors == sorted(errors, reverse=True), name


def result(protocol: str, own: bool = True, dataset: str = "ilsvrc2012") -> Published:
    return Published(dataset, protocol, 20.0, 5.0, "a paper", own)


def test_the_test_that_most_networks_share_is_chosen() -> None:
    chosen = common_test(
        {
            "a": [result("1 crop"), result("10 crops")],
            "b": [result("10 crops")],
            "c": [result("dense")],
            "d": [],
        }
    )
    assert {name: found.protocol for name, found in chosen.items()} == {
        "a": "10 crops",
        "b": "10 crops",
        "c": "dense",
    }
    untold = {"a": [result(""), result("dense")], "b": [result("")]}
    assert common_test(untold)["a"].protocol == "dense"
    own = {"a": [result("1 crop", own=False), result("10 crops")]}
    assert common_test(own)["a"].protocol == "10 crops"
    usual = {"a": [result("1 crop", dataset="stanford dogs"), result("10 crops")]}
    assert common_test(usual)["a"].dataset == "ilsvrc2012"


def test_networks_side_by_side() -> None:
    calls: list[tuple[int, int]] = []
    names = ["lenet5", "cnn_gap", "lenet5"]
    found = compare(names, batch=4, progress=lambda *at: calls.append(at))
    assert calls == [(0, 2), (1, 2)]
    lenet5, cnn_gap = found.entries
    assert lenet5.inference_bytes == analyze("lenet5").peak_inference_bytes(4)
    assert lenet5.training_bytes == analyze("lenet5").peak_training_bytes(4)
    assert lenet5.published is not None
    assert lenet5.published.dataset == "mnist"
    assert cnn_gap.published is None
    facts = json.loads(json.dumps(found.to_dict()))
    assert facts["networks"][0]["params"] == 60_000
    assert facts["networks"][1]["published"] is None


def test_peaks_that_are_known_are_not_predicted_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    predicted = []

    def peak(report: Report, batch: int) -> int:
        predicted.append((report.name, batch))
        return 1000 * batch

    monkeypatch.setattr(Report, "peak_inference_bytes", peak)
    monkeypatch.setattr(Report, "peak_training_bytes", peak)
    found = [compare(["lenet5"], batch).to_dict() for batch in (4, 8, 4, 8)]
    assert predicted == [("lenet5", 4)] * 2 + [("lenet5", 8)] * 2
    assert found[:2] == found[2:]
    assert found[1]["networks"][0]["training_bytes"] == 8000
    [file] = (tmp_path / "costs").iterdir()
    file.write_text('{"key": "that of other code", "peaks": {"4x1x32x32": [1, 1]}}')
    assert compare(["lenet5"], 4).to_dict() == found[0]


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        compare([])
    with pytest.raises(UnknownNameError, match="did you mean: lenet5"):
        compare(["lenet55"])


def test_the_chart_is_drawn(drawable: Comparison, tmp_path: Path) -> None:
    missing = draw_bubbles(drawable, tmp_path / "chart.png")
    assert missing == {"googlenet": "no top-1 error is printed", "lenet5": "tested on MNIST"}
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.format == "PNG"
        assert min(chart.size) > 800
        colours = chart.convert("RGB").getcolors(1 << 24)
    assert len(colours) > 100


def test_the_chart_names_networks_and_sources_and_is_the_same_each_time(
    drawable: Comparison, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    missing = draw_bubbles(drawable, first, top=5)
    draw_bubbles(drawable, second, top=5)
    assert missing == {
        "lenet5": "no top-5 error is printed",
        "mobilenet_v1_050": "no top-5 error is printed",
    }
    assert first.read_bytes() == second.read_bytes()
    ET.parse(first)
    comments = first.read_text()  # matplotlib writes each text as a comment above its shapes
    for word in ("googlenet", "resnet50", "vgg16", "ImageNet, 10 crops", "Table 3", "top-5"):
        assert word in comments


def test_a_chart_that_can_t_be_drawn_says_why(
    drawable: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg file, not 'chart.pdf'"):
        draw_bubbles(drawable, tmp_path / "chart.pdf")
    lenet5 = replace(drawable, entries=drawable.entries[:1])
    with pytest.raises(InputError, match="no top-5 error is printed for lenet5"):
        draw_bubbles(lenet5, tmp_path / "chart.png", top=5)
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="can't write"):
        draw_bubbles(drawable, tmp_path / "file" / "chart.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'convatlas\[plot\]'"):
        draw_bubbles(drawable, tmp_path / "chart.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
