"""Which engines are installed here."""

import pytest

from convatlas.engines.roster import find_engine


def need(engine: str) -> None:
    """Skip where an engine is not installed."""
    reason = find_engine(engine).missing("float32")
    if reason:
        pytest.skip(reason)
