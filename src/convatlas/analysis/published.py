"""The errors that papers print for a network, one test protocol at a time.

They come from the ledger of claims. Only what was measured with one network, as it stands in the
catalog, counts: no ensembles, no changed layers, no other training set.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

from convatlas import catalog
from convatlas.analysis.ledger import Claim, read_ledger
from convatlas.card import Architecture, Variant
from convatlas.errors import UserError

# from the most usual on; what is not here comes last
_DATASETS = ("ilsvrc2012", "cifar10", "cifar100", "mnist", "svhn")
_TITLES = {
    "ilsvrc2012": "ImageNet",
    "ilsvrc2010": "ILSVRC 2010",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "mnist": "MNIST",
    "svhn": "SVHN",
}
_QUANTITIES = ("top1_error", "top5_error", "test_error", "accuracy")
# what a claim may say besides fields of the spec: how the network was trained and tested
_PROTOCOL = {
    *("dataset", "split", "crops", "eval", "input_size", "topk", "models"),
    *("train_scale", "test_scale", "augment", "preprocess", "runs"),
}


@dataclass(frozen=True, slots=True)
class Published:
    """Errors of a network in one test.

    Attributes:
        dataset: As the ledger names it: "ilsvrc2012", "cifar10".
        protocol: How it was tested: "10 crops", "dense", "1 crop at 320 pixels".
        top1_error: In percent; None: not printed.
        top5_error: In percent; None: not printed.
        source: Who prints it, and where.
        own: Whether that is the network's own paper.
    """

    dataset: str
    protocol: str
    top1_error: float | None
    top5_error: float | None
    source: str
    own: bool

    @property
    def test(self) -> str:
        """What it was tested on, and how."""
        return ", ".join(filter(None, (_TITLES.get(self.dataset, self.dataset), self.protocol)))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers and strings, for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def published_errors(name: str, claims: Iterable[Claim] | None = None) -> list[Published]:
    """List what papers print of a network's errors, one result for each way of testing.

    Args:
        name: As for `catalog.find`.
        claims: By default those of the ledger that comes with convatlas.

    Raises:
        UnknownNameError: No such network.
    """
    architecture, variant = catalog.find(name)
    tests: dict[tuple, list[Claim]] = defaultdict(list)
    for claim in read_ledger() if claims is None else claims:
        if claim.quantity in _QUANTITIES and _is_about(claim, name, architecture, variant):
            config = {key: value for key, value in claim.config.items() if key != "topk"}
            tests[claim.source, repr(sorted(config.items()))].append(claim)
    results = [_result(group, architecture, variant) for group in tests.values()]
    best: dict[tuple[str, str], Published] = {}
    for result in sorted(results, key=_preference):
        best.setdefault((result.dataset, result.protocol), result)
    return list(best.values())


def common_test(results: Mapping[str, Sequence[Published]]) -> dict[str, Published]:
    """Choose for each network the result that compares it best with the others.

    A way of testing that more networks share goes before others; then the one that more papers
    print of their own networks; then the usual one. One that is not told comes last.

    Args:
        results: What `published_errors` gives, by network; one without results is left out.
    """
    shared: dict[tuple, list[Published]] = defaultdict(list)
    for found in results.values():
        for result in found:
            shared[result.dataset, result.protocol].append(result)

    def rank(result: Published) -> tuple:
        alike = shared[result.dataset, result.protocol]
        own = sum(other.own for other in alike)
        said = bool(result.protocol) or not result.dataset.startswith("ilsvrc")
        usual = (_dataset_rank(result), len(result.protocol), result.protocol)
        return (not said, -len(alike), -own, *usual)

    return {name: min(found, key=rank) for name, found in results.items() if found}


def _is_about(claim: Claim, name: str, architecture: Architecture, variant: Variant) -> bool:
    """Tell whether a claim is about this network, with the fields of the spec that it sets."""
    config = claim.config
    if config.get("models", 1) != 1 or "dataset" not in config or _is_contest(config):
        return False
    found = _network(claim.subject)
    if found is None:
        return False
    family, base = found
    try:
        known = {field.name for field in fields(base.spec)} if is_dataclass(base.spec) else set()
        if family is not architecture or not config.keys() <= _PROTOCOL | known:
            return False
        changes = {key: _value(config[key]) for key in config.keys() & known - _PROTOCOL}
        spec = replace(base.spec, **changes)
    except (UserError, TypeError):  # a value that no network can be built with
        return False
    return spec == variant.spec and (claim.subject == name or spec != base.spec)


@cache
def _network(name: str) -> tuple[Architecture, Variant] | None:
    """Find a network; None: it is not of the catalog, whose error would take long to word."""
    try:
        return catalog.find(name)
    except UserError:
        return None


def _is_contest(config: Mapping[str, Any]) -> bool:
    """Tell whether it is the entry in a contest, which is an ensemble, said or not."""
    tested = {"crops", "eval", "models"} & config.keys()
    return config.get("split") == "test" and "ilsvrc" in str(config["dataset"]) and not tested


def _value(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


def _result(claims: Sequence[Claim], architecture: Architecture, variant: Variant) -> Published:
    errors: dict[int, float] = {}
    for claim in claims:
        top = 5 if claim.quantity == "top5_error" else claim.config.get("topk", 1)
        value = float(claim.value)
        if claim.quantity == "accuracy":
            value = round(100 - (value if value > 1 else 100 * value), 2)
        errors[top] = value
    first = claims[0]
    surname = architecture.paper.authors.partition(",")[0].split()[-1]
    own = first.file == architecture.name and first.source.startswith(surname)
    protocol = _protocol(first.config, variant)
    dataset = str(first.config["dataset"])
    return Published(dataset, protocol, errors.get(1), errors.get(5), first.source, own)


def _protocol(config: Mapping[str, Any], variant: Variant) -> str:
    """Say in words how a network was tested."""
    crops, scale = config.get("crops"), config.get("test_scale")
    words = f"{crops} crop{'' if crops == 1 else 's'}" if isinstance(crops, int) else crops or ""
    words = str(words or config.get("eval") or "")
    if isinstance(scale, list):
        words += ", multi-scale"
    size = config.get("input_size")
    if size is not None and size != variant.input_shape[-1]:
        words += f" at {size} pixels"
    if config.get("augment") is False:
        words += " not augmented"
    if config.get("split") == "test" and "ilsvrc" in str(config["dataset"]):
        words += " of the test server"
    return words.strip(" ,")


def _preference(result: Published) -> tuple:
    """Sort first what speaks most for a network in one test."""
    missing = 100.0
    top1, top5 = result.top1_error, result.top5_error
    return (
        not result.own,
        top1 is None,
        missing if top1 is None else top1,
        missing if top5 is None else top5,
    )


def _dataset_rank(result: Published) -> int:
    known = result.dataset in _DATASETS
    return _DATASETS.index(result.dataset) if known else len(_DATASETS)
