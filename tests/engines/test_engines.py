"""Each engine by itself: its answers are those of the network."""

import pytest
import torch
from installed import need

import convatlas as ca
from convatlas.engines.roster import ENGINES

SLOW = {"compiled"}  # half a minute of compiling
each_engine = pytest.mark.parametrize(
    "engine", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in ENGINES]
)


@each_engine
def test_answers_are_those_of_the_network_in_any_layout(engine, network, images):
    need(engine)
    found = ca.optimize(network, images, engine=engine)
    with torch.no_grad():
        torch.testing.assert_close(found(images), network(images), rtol=1e-4, atol=1e-4)
    assert (found.engine, found.precision) == (engine, "float32")
    assert found.agreement.relative_error < 1e-4
    assert found.report["threads"] == torch.get_num_threads()
    strange = images.to(memory_format=torch.channels_last)
    every_other = images.repeat_interleave(2, dim=3)[..., ::2]
    torch.testing.assert_close(found(strange), found(images))
    torch.testing.assert_close(found(every_other), found(images))


@pytest.mark.parametrize("engine", ["eager", pytest.param("openvino", marks=pytest.mark.slow)])
def test_bfloat16_is_near(engine, network, images):
    need(engine)
    found = ca.optimize(network, images, engine=engine, precision="bfloat16")
    with torch.no_grad():
        expected = network(images)
    error = (found(images) - expected).abs().max() / expected.abs().max()
    assert 1e-6 < error < 0.05
    assert found(images).dtype == torch.float32


@pytest.mark.slow
def test_int8_is_calibrated_with_real_images(network, images):
    pytest.importorskip("nncf", reason="int8 needs nncf")
    many = torch.randn(16, 3, 32, 32)
    found = ca.optimize(network, images, precision="int8", images=many)
    with torch.no_grad():
        expected = network(images)
    error = (found(images) - expected).abs().max() / expected.abs().max()
    assert (found.engine, found.precision) == ("openvino", "int8")
    assert 1e-3 < error < 0.3


def test_the_network_is_left_as_it_was(network, images):
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    ca.optimize(network, images, engine="eager", precision="bfloat16")
    assert network.training
    network.eval()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert next(network.parameters()).is_contiguous()


@pytest.mark.parametrize("size", [1, 2])
def test_openvino_takes_a_batch_in_pieces_side_by_side(size, network):
    need("openvino")
    from convatlas.export import openvino
    from convatlas.export.program import trace

    model = openvino.convert(trace(network, (3, 32, 32), any_size=False))
    model.reshape([size, 3, 32, 32])
    run = openvino.piecewise_runner(openvino.compiled(model, streams=2), size)
    first, second = torch.randn(2, 6, 3, 32, 32)
    with torch.inference_mode():
        kept = run(first)
    with torch.no_grad():
        torch.testing.assert_close(run(second), network(second), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(kept, network(first), rtol=1e-4, atol=1e-4)
