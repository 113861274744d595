"""Runs to be disturbed, and what they would leave if they were not."""

import functools

import pytest
from faulty_runs import SETTINGS, Runs, outcome

from convatlas.train.run import start_run


@pytest.fixture
def runs(pictures):
    """Runs of the pictures."""
    runs = Runs(pictures)
    yield runs
    runs.end()


@pytest.fixture(scope="session")
def undisturbed(pictures, tmp_path_factory):
    """Give `undisturbed(**options)`: what a run leaves that nothing happens to."""

    @functools.cache
    def undisturbed(**options):
        out = tmp_path_factory.mktemp("undisturbed") / "run"
        settings = {**SETTINGS, **options}
        start_run("lenet5_modern", pictures, out=out, **settings)
        return outcome(out)

    return undisturbed
