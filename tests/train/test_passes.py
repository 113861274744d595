"""How many images are computed at once: networks whose batch norm needs two are told in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.data.loader import part_of
from convatlas.errors import InputError
from convatlas.train.passes import pass_sizes
from convatlas.train.run import start_run

NET = "inception_v3"
few = st.integers(1, 40)


@given(few, few, st.integers(1, 5), st.none() | st.integers(1, 9))
def test_sizes_are_those_of_a_counted_epoch(images, batch_size, parts, micro_batch):
    counted = set()
    for start in range(0, images, batch_size):
        batch = np.arange(images)[start : start + batch_size]
        for rank in range(parts):
            own = len(part_of(batch, rank, parts))
            step = own if micro_batch is None else micro_batch
            counted |= {min(step, own - done) for done in range(0, own, step or 1)}
    assert pass_sizes(images, batch_size, parts, micro_batch) == counted


def test_a_batch_of_one_is_refused_before_the_run_begins(pictures, tmp_path):
    def start(batch_size, out, **changes):
        changes |= {"batch_size": batch_size}
        start_run(NET, pictures, out=out, recipe_name="imagenet", changes=changes)

    with pytest.raises(InputError, match="60 images in batches of 59 leave one: set another"):
        start(59, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_one_image_is_enough_it_is_let_pass(pictures, tmp_path):
    options = {"recipe_name": "digits", "changes": {"batch_size": 59}, "stop": lambda: True}
    assert start_run("lenet5_modern", pictures, out=tmp_path, **options).state == "stopped"
