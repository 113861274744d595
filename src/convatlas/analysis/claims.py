"""Recompute what papers print: `check_claims`."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from convatlas import catalog
from convatlas.analysis.comparisons import measure, order, ratios
from convatlas.analysis.ledger import Claim, read_ledger
from convatlas.analysis.subjects import NotDerivable, Subjects
from convatlas.errors import UnknownNameError, unknown

Verdict = Literal["pass", "fail", "erratum", "not derivable"]

_REASONS = {
    "trainable_small": "the result of a training: see the studies",
    "trainable_large": "the result of a training on ImageNet or the like",
    "historical": "a fact of history, not a property of the network",
}
_CLOSE = 0.005  # ratios and shares of a ledger are rounded


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What a paper prints, and what the network really gives.

    Attributes:
        claim: The entry of the ledger.
        recomputed: Number, list of numbers or list of names; None: not derivable.
        verdict: "pass": the print holds. "erratum": the print is wrong, the ledger's reference
            value holds. "fail": the network gives neither. "not derivable": not recomputed.
        reason: Why, in words; empty for a pass.
    """

    claim: Claim
    recomputed: Any
    verdict: Verdict
    reason: str = ""

    @property
    def id(self) -> str:
        """The claim's id."""
        return self.claim.id

    @property
    def architecture(self) -> str:
        """The network that the claim is about."""
        return self.claim.architecture

    @property
    def quantity(self) -> str:
        """What is claimed."""
        return self.claim.quantity

    @property
    def published(self) -> Any:
        """The value as printed."""
        return self.claim.value

    @property
    def source(self) -> str:
        """Who prints it, and where."""
        return self.claim.source

    def to_dict(self) -> dict[str, Any]:
        """Give what the command line prints as JSON."""
        keys = ("id", "architecture", "quantity", "published", "recomputed", "verdict", "source")
        return {key: getattr(self, key) for key in keys}


def check_claims(
    names: Iterable[str] | None = None, ledger: str | Path | None = None
) -> list[ClaimResult]:
    """Recompute every claim that follows from a network alone.

    Args:
        names: Networks or families ("vgg16", "vgg"); all by default.
        ledger: A folder of YAML files in place of the ledger that comes with convatlas.

    Raises:
        UnknownNameError: A name that is neither in the catalog nor in the ledger.
        FileError: The ledger can't be read.
        InputError: The ledger has an entry that is no claim; the message names file and entry.
    """
    subjects = Subjects()
    return [_check(claim, subjects) for claim in _chosen(read_ledger(ledger), names)]


def _check(claim: Claim, subjects: Subjects) -> ClaimResult:
    try:
        recomputed = _recompute(claim, subjects)
    except NotDerivable as reason:
        return ClaimResult(claim, None, "not derivable", str(reason))
    verdict, reason = judge(claim, recomputed)
    return ClaimResult(claim, recomputed, verdict, reason)


def _recompute(claim: Claim, subjects: Subjects) -> Any:
    if claim.kind != "derivable":
        raise NotDerivable(_REASONS[claim.kind])
    if claim.quantity == "ordering":
        return order(claim.value, claim.config, subjects)
    if claim.quantity == "cost_ratio":
        return _ratio(claim, subjects)
    return measure(claim.subject, claim.quantity, claim.config, subjects)


def _ratio(claim: Claim, subjects: Subjects) -> float:
    """Give what the ledger has, if the words of a ratio can mean it; else what they say plainly."""
    values = ratios(claim.subject, claim.config, claim.reference, subjects)
    plain = next(values)
    meant = (value for value in itertools.chain([plain], values) if _is_meant(value, claim))
    return next(meant, plain)


def _is_meant(value: float, claim: Claim) -> bool:
    if claim.reference_value is None:
        return within(value, claim.value, claim.tolerance)
    return equals(value, claim.reference_value)


def judge(claim: Claim, recomputed: Any) -> tuple[Verdict, str]:
    """Compare a recomputed value with the ledger's reference value and with the print."""
    agrees = within(recomputed, claim.value, claim.tolerance)
    reference = claim.reference_value
    if reference is None:
        return ("pass", "") if agrees else ("fail", "not within the tolerance of the print")
    if not equals(recomputed, reference):
        return "fail", f"the ledger's reference value is {reference}"
    if agrees:
        return "pass", ""
    if claim.agrees is True:
        return "fail", "the ledger says that its reference value agrees with the print"
    return "erratum", claim.note or claim.reference


def equals(recomputed: Any, reference: Any) -> bool:
    """Tell whether a value is the reference: whole numbers exactly, ratios as they are rounded."""
    if isinstance(recomputed, list) and isinstance(reference, list):
        pairs = zip(recomputed, reference, strict=False)
        return len(recomputed) == len(reference) and all(equals(a, b) for a, b in pairs)
    if not _is_number(recomputed) or not _is_number(reference):
        return recomputed == reference
    if isinstance(recomputed, int) and isinstance(reference, int):
        return recomputed == reference
    last = float(Decimal(1).scaleb(int(Decimal(repr(reference)).as_tuple().exponent)))
    return abs(recomputed - reference) <= max(last / 2, _CLOSE * abs(reference))


def within(recomputed: Any, value: Any, tolerance: Any) -> bool:
    """Tell whether a value is within the tolerance of the print."""
    if isinstance(recomputed, list) and isinstance(value, list):
        pairs = zip(recomputed, value, strict=False)
        return len(recomputed) == len(value) and all(within(a, b, tolerance) for a, b in pairs)
    if not _is_number(recomputed) or not _is_number(value):
        return recomputed == value
    if tolerance == "upper_bound":
        return recomputed <= value
    if tolerance == "lower_bound":
        return recomputed >= value
    if tolerance == "exact":
        return math.isclose(recomputed, value, rel_tol=1e-12)
    slack = tolerance["abs"] if "abs" in tolerance else tolerance["rel"] * abs(value)
    return abs(recomputed - value) <= slack * (1 + 1e-9)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _chosen(claims: Sequence[Claim], names: Iterable[str] | None) -> list[Claim]:
    if names is None:
        return list(claims)
    keys = {claim.id: _keys(claim) for claim in claims}
    known = set().union(*keys.values()) | set(catalog.variants())
    known |= {architecture.name for architecture in catalog.ARCHITECTURES}
    wanted = {name.removeprefix("~") for name in names}
    for name in wanted - known:
        if _family(name) is None:
            raise unknown("network or family", name, sorted(known))
    return [claim for claim in claims if wanted & keys[claim.id]]


def _keys(claim: Claim) -> set[str]:
    """What a claim is chosen by: its networks, their families, its file."""
    subjects = {claim.subject, *claim.subject.split("+")}
    families = {_family(subject) for subject in subjects} - {None}
    return {*subjects, *(family for family in families if family), claim.file}


def _family(name: str) -> str | None:
    try:
        return catalog.find(name)[0].name
    except UnknownNameError:
        return None
