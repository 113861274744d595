"""The report of a run: one page, whole, true to its files, and hostile to injected markup."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from convatlas.errors import FileError
from convatlas.evaluate.readings import note_reading
from convatlas.report.later_readings import renew_readings
from convatlas.report.run_report import write_report
from convatlas.report.words import duration, percent, probability, short

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """A page's text, attributes and nesting."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.text = ""
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(finished_run, folder)
    path = write_report(folder)
    assert path == folder / "report.html"
    return Page(path)


def test_readings_of_the_test_images_are_told(
    page: Page, finished_run: Path, tmp_path: Path
) -> None:
    assert "were read" not in page.text
    shutil.copytree(finished_run, tmp_path / "run")
    note_reading(tmp_path / "run", {"protocol": "center"})
    again = Page(write_report(tmp_path / "run"))
    assert "The test images were read 2 times so far" in again.text


def test_a_report_is_renewed_without_another_reading(
    page: Page, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    renew_readings(folder)
    assert not (folder / "report.html").exists()
    before = write_report(folder).read_text(encoding="utf-8")
    monkeypatch.setattr("convatlas.report.run_report.open_source", None)
    renew_readings(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == before
    note_reading(
        folder,
        {"protocol": "10crop", "together_with": 2, "top1_accuracy": 0.9, "when": "2026-01-02T"},
    )
    note_reading(folder, {"probe": "<b>", "top1_accuracy": 1.0, "when": "2026-01-03T"})
    renew_readings(folder)
    again = (folder / "report.html").read_text(encoding="utf-8")
    assert "The test images were read 3 times so far" in again
    assert (
        "<li>2026-01-02: accuracy 90.00\N{NO-BREAK SPACE}%, protocol 10crop, with 2 more" in again
    )
    assert "a linear probe on &lt;b&gt;" in again
    assert re.sub(r"<!-- later readings -->.*?<!-- end", "<!-- end", again, flags=re.DOTALL) == (
        before.replace("<!-- later readings -->", "")
    )


def read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def change(folder: Path, name: str, **values: Any) -> None:
    (folder / name).write_text(json.dumps(read(folder, name) | values), encoding="utf-8")


def test_the_page_is_one_file_that_loads_nothing(page: Page) -> None:
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name, "")
            assert not value or value.startswith(("data:image/", "#")) or name == "href", value
    links = [a["href"] for a in page.of("a") if not a["href"].startswith("#")]
    assert links == ["https://arxiv.org/abs/1512.03385"]  # to read, not to load
    assert page.of("script") == page.of("link") == page.of("iframe") == []
    assert not re.search(r"@import|url\(", page.source)


def test_the_page_is_whole_html(page: Page) -> None:
    assert page.source.startswith("<!doctype html>")
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = [a["href"][1:] for a in page.of("a") if a["href"].startswith("#")]
    assert set(anchors) <= set(ids)
    assert all(image["alt"] for image in page.of("img"))
    assert page.of("html") == [{"lang": "en"}]


def test_the_headline_says_what_was_measured(page: Page, finished_run: Path) -> None:
    test = read(finished_run, "test.json")
    right = round(test["top1_accuracy"] * test["count"])
    assert "resnet8_cifar" in page.text
    assert f"{right} of {test['count']} test images" in page.text
    assert percent(test["top1_accuracy"]) in page.text
    assert "1 min 32 s" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "Deep Residual Learning" in page.text


def test_every_count_of_the_confusion_matrix_is_shown(page: Page, finished_run: Path) -> None:
    matrix = re.search(r'<table class="matrix">.*?</table>', page.source, re.DOTALL)
    assert matrix is not None
    counts = [int(n) for n in re.findall(r"<td[^>]*>(\d+)</td>", matrix[0])]
    assert counts == [n for row in read(finished_run, "test.json")["confusion"] for n in row]


def test_mistakes_and_heat_maps_are_shown(page: Page, finished_run: Path) -> None:
    test = read(finished_run, "test.json")
    assert len(test["mistakes"]) == 24
    shots = [image for image in page.of("img") if "shot" in image["class"].split()]
    wrong = min(6, len(test["mistakes"]))
    right = min(8, len(test["examples"]))
    assert len(shots) == 24 + 3 * wrong + 2 * right
    for mistake in test["mistakes"]:
        assert mistake["name"] in page.source
    tiny = [image for image in shots if "tiny" in image["class"].split()]
    assert len(tiny) == 24 + wrong + right  # pixels of the inputs are enlarged, heat is smooth


def test_recipe_and_command_are_told(page: Page) -> None:
    assert "SGD (learning rate 0.1, momentum 0.9)" in page.text
    assert "No images are flipped." in page.text
    assert "convatlas train resnet8_cifar --data digits --recipe cifar10 --epochs 3" in page.text
    assert "--set batch_size=64" in page.text
    assert "--seed 7" in page.text


def test_a_schedule_of_many_steps_is_told_in_short(run_copy: Path) -> None:
    recipe = read(run_copy, "config.json")["recipe"]
    recipe["schedule"] = {"kind": "Levels", "until": list(range(1, 69)), "factors": [1.0] * 68}
    change(run_copy, "config.json", recipe=recipe)
    page = Page(write_report(run_copy))
    assert "until [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, ... (68 in all)]" in page.text


@pytest.mark.parametrize(
    ("source", "shown"),
    [("folder:pets", "pets"), ("folder:my/pets/", "pets"), ("folder:.", "."), ("digits", "digits")],
)
def test_a_folder_is_called_by_its_last_part(run_copy: Path, source: str, shown: str) -> None:
    change(run_copy, "config.json", source=source)
    assert f"<title>resnet8_cifar on {shown}:" in Page(write_report(run_copy)).source


def test_markup_in_names_is_shown_not_run(run_copy: Path) -> None:
    evil = '<script>alert("x")</script>'
    classes = [evil, *read(run_copy, "config.json")["classes"][1:]]
    change(run_copy, "config.json", classes=classes, recipe={"where": evil, "epochs": 3})
    page = Page(write_report(run_copy))
    assert page.of("script") == []
    assert page.text.count(evil) >= 3


def test_many_classes_get_a_list_in_place_of_a_matrix(run_copy: Path) -> None:
    import torch

    import convatlas as ca

    names = [f"class number {i}" for i in range(30)]
    _, metadata = ca.load(run_copy)
    torch.manual_seed(0)
    model = ca.create("resnet8_cifar", num_classes=30, in_channels=1)
    kept = {"preprocessing": metadata["preprocessing"], "classes": names}
    ca.save(model, run_copy / "model.safetensors", kept)
    rows = [[3 if i == j else 2 if j == i + 1 else 0 for j in range(30)] for i in range(30)]
    change(run_copy, "config.json", classes=names, num_classes=30)
    change(run_copy, "test.json", confusion=rows, mistakes=[], examples=[])
    page = Page(write_report(run_copy))
    assert '<table class="matrix">' not in page.source
    assert "class number 0" in page.text
    assert "every test image was recognised" in page.text


@pytest.mark.parametrize(
    "changed", [{"source": "folder:/no/such/folder"}, {"source": "digitz"}, {"root": "/nowhere"}]
)
def test_without_its_data_a_report_says_so(run_copy: Path, changed: dict[str, str]) -> None:
    change(run_copy, "config.json", **changed)
    page = Page(write_report(run_copy))
    if "source" in changed:
        assert "The test images can't be shown:" in page.text
        assert page.of("img") == []
    else:
        assert page.of("img")  # digits need no folder


def test_changed_data_are_not_shown_as_the_old_ones(run_copy: Path) -> None:
    mistakes = read(run_copy, "test.json")["mistakes"]
    mistakes[0]["name"] = "another image"
    change(run_copy, "test.json", mistakes=mistakes)
    page = Page(write_report(run_copy))
    assert "was 'another image' and is" in page.text


def test_runs_without_validation_have_gaps(run_copy: Path) -> None:
    lines = (run_copy / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) | {"val_loss": None, "val_accuracy": None} for line in lines]
    text = "\n".join(json.dumps(record) for record in records)
    (run_copy / "metrics.jsonl").write_text(text, encoding="utf-8")
    page = Page(write_report(run_copy))
    assert '<polyline class="series train"' in page.source
    assert '<polyline class="series validation"' not in page.source


def test_a_run_of_one_epoch_has_points_in_its_curves(run_copy: Path) -> None:
    lines = (run_copy / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    (run_copy / "metrics.jsonl").write_text(lines[0], encoding="utf-8")
    page = Page(write_report(run_copy))
    assert "<polyline" not in page.source  # of one point it would not be seen
    places = [(a["class"], a["cx"], a["cy"]) for a in page.of("circle") if "class" in a]
    for name in ("dot train", "dot validation"):
        # in each of the two charts: once on the curve, once in what a pointer shows
        assert sorted(places.count(place) for place in places if place[0] == name) == [2, 2, 2, 2]


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "test.json", "model.safetensors"])
@pytest.mark.parametrize("fault", ["missing", "empty", "torn", "binary"])
def test_a_missing_or_broken_file_is_named(run_copy: Path, name: str, fault: str) -> None:
    path = run_copy / name
    content = path.read_bytes()
    path.unlink()
    if fault != "missing":
        path.write_bytes({"empty": b"", "torn": content[: len(content) // 2]}.get(fault, b"\xff"))
    with pytest.raises(FileError, match=re.escape(name)) as caught:
        write_report(run_copy)
    assert "\n" not in str(caught.value)
    assert not (run_copy / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("config.json", {"classes": "0123456789"}, "'classes'"),
        ("config.json", {"preprocessing": {"size": [8]}}, "config.json"),
        ("test.json", {"confusion": [[1, 2], [3, 4]]}, "no confusion matrix of 10 by 10"),
        ("test.json", {"top1_accuracy": None}, "'top1_accuracy'"),
        ("test.json", {"count": True}, "'count'"),
        ("test.json", {"mistakes": [{"index": 0}]}, "a prediction that can't be read"),
        ("test.json", {"mistakes": [3]}, "a prediction that can't be read"),
    ],
)
def test_wrong_values_are_named(run_copy: Path, name: str, values: dict, message: str) -> None:
    change(run_copy, name, **values)
    with pytest.raises(FileError, match=message):
        write_report(run_copy)


def test_files_of_two_runs_are_refused(run_copy: Path) -> None:
    change(run_copy, "config.json", architecture="resnet14_cifar")
    with pytest.raises(FileError, match=r"config\.json is of resnet14_cifar"):
        write_report(run_copy)


def test_claims_of_the_paper_are_recomputed(run_copy: Path) -> None:
    import torch

    import convatlas as ca
    from convatlas.analysis.claims import check_claims

    torch.manual_seed(0)
    _, metadata = ca.load(run_copy)
    kept = {key: metadata[key] for key in ("preprocessing", "classes")}
    model = ca.create("preact_resnet110_cifar", num_classes=10, in_channels=1)
    ca.save(model, run_copy / "model.safetensors", kept)
    change(run_copy, "config.json", architecture="preact_resnet110_cifar", source="none")
    page = Page(write_report(run_copy))
    results = check_claims(["preact_resnet110_cifar"])
    assert {"pass", "not derivable"} <= {result.verdict for result in results}
    assert page.source.count('<span class="verdict ') == len(results)
    assert all(result.source in page.text for result in results)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no run folder"):
        write_report(tmp_path / "nothing")


def test_pictures_of_photographs_are_not_enlarged_pixel_by_pixel(tmp_path: Path) -> None:
    from convatlas.report.pictures import data_uri

    assert data_uri(Image.new("RGB", (224, 224))).startswith("data:image/webp;base64,")
    assert data_uri(Image.new("L", (28, 28))).startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (61_706, "61.7 k"), (999_999, "1 M"), (4.089e9, "4.09 G")],
)
def test_counts_are_short(number: float, text: str) -> None:
    assert short(number).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (59.96, "1 min 0 s"), (61, "1 min 1 s"), (3599.9, "1 h 0 min")],
)
def test_durations_are_spoken(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "100.0 %"), (0.99996, "> 99.9 %"), (0.998, "99.8 %"), (0.0, "0.0 %")]
)
def test_what_is_not_certain_is_not_written_so(value: float, text: str) -> None:
    assert probability(value).replace("\N{NO-BREAK SPACE}", " ") == text
