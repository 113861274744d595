"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest

# one thread a test process: the tests run side by side, and torch's threads would fight for cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Real images and weights, kept outside the repository."""
    given = os.environ.get("CONVATLAS_DATA")
    root = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"needs real data: set CONVATLAS_DATA (looked in {root})")
    return root
