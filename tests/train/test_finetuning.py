"""Begin with weights that have learnt before: what is copied, what stays, what learns slowly."""

import json

import pytest
import torch

import convatlas as ca
from convatlas.catalog import build, build_meta
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.recipe import SGD, Recipe
from convatlas.train.finetuning import Donor, Start, depths, freeze, learning_mode
from convatlas.train.groups import parameter_groups
from convatlas.train.optimizers import set_rate
from convatlas.train.plan import make_plan
from convatlas.train.run import start_run
from convatlas.train.state import State
from convatlas.weights.fitting import WeightsWarning

RECIPE = Recipe("test", 4, 1, SGD(lr=0.1, momentum=0.9, weight_decay=0.1))


class TestDepths:
    def test_the_head_is_nearest(self):
        found = depths(build_meta("resnet20_cifar"))
        assert {name.split(".")[0]: depth for name, depth in found.items()} == {
            "stem": 4,
            "stages": 1,
            "head": 0,
        }
        assert found["stages.stage1.0.conv1.conv.weight"] == 3
        assert found["stages.stage3.0.conv1.conv.weight"] == 1
        assert len(found) == len(list(build_meta("resnet20_cifar").parameters()))

    def test_pools_do_not_count(self):
        found = depths(build_meta("squeezenet1_1"))
        of_stage = {".".join(name.split(".")[:2]): depth for name, depth in found.items()}
        assert of_stage["stages.fire9"] == 1
        assert of_stage["stages.fire5"] == 5  # maxpool5 lies between

    def test_side_classifiers_are_heads(self):
        found = depths(build_meta("googlenet", sides=True))
        assert {depth for name, depth in found.items() if name.startswith("sides.")} == {0}
        assert found["head.fc.weight"] == 0
        assert found == {**depths(build_meta("googlenet")), **found}

    @pytest.mark.parametrize("name", ["unet", "densenet121", "lenet5_modern", "alexnet"])
    def test_they_fall_from_the_first_to_the_last_parameter(self, name):
        values = list(depths(build_meta(name)).values())
        assert values == sorted(values, reverse=True)
        assert values[-1] == 0

    def test_the_rates_follow(self):
        model = build("resnet20_cifar")
        groups = parameter_groups(model, RECIPE, layer_decay=0.5)
        assert sorted(group["rate"] for group in groups) == [0.0625, 0.125, 0.25, 0.5, 1.0]
        optimizer = State.fresh(model, RECIPE, Start(layer_decay=0.5)).optimizer
        set_rate(optimizer, 0.2)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert rates[id(model.head.fc.weight)] == pytest.approx(0.2)
        assert rates[id(next(model.stem.parameters()))] == pytest.approx(0.0125)


class TestFreezing:
    def test_frozen_layers_stay_in_every_bit(self):
        torch.manual_seed(0)
        model = build("resnet20_cifar")
        state = State.fresh(model, RECIPE, Start(freeze=("stem", "stages.stage1")))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        learning_mode(model, state.frozen)
        set_rate(state.optimizer, 0.1)
        model(torch.randn(4, 3, 32, 32)).sum().backward()
        state.optimizer.step()
        changed = {
            name.split(".")[0] if name[:6] != "stages" else name[:13]
            for name, tensor in model.state_dict().items()
            if not torch.equal(tensor, before[name])
        }
        assert changed == {"stages.stage2", "stages.stage3", "head"}

    def test_norms_and_dropout_of_frozen_layers_are_as_in_tests(self):
        model = build("vgg11_bn")
        frozen = freeze(model, ["head"])
        model.eval()
        learning_mode(model, frozen)
        assert not any(module.training for module in model.head.modules())
        assert all(module.training for module in model.stages.modules())

    def test_an_unknown_layer_names_the_nearest(self):
        with pytest.raises(UnknownNameError, match=r"stages\.stage1"):
            freeze(build_meta("resnet20_cifar"), ["stages.stage"])

    def test_something_must_be_left(self):
        with pytest.raises(InputError, match="freezing stages, head leaves nothing to train"):
            freeze(build_meta("lenet5_modern"), ["stages", "head"])

    @pytest.mark.parametrize("factor", [0.0, -1.0, 1.5])
    def test_layer_decay_must_be_a_part(self, factor):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            Start(layer_decay=factor)


@pytest.fixture
def trained(tmp_path):
    """Weights of a small network, with what its file would say."""
    torch.manual_seed(3)
    model = build("lenet5_modern", num_classes=3)
    preprocessing = Preprocessing((32, 32), (0.25,), (0.5,))
    path = tmp_path / "trained.safetensors"
    ca.save(model, path, {"preprocessing": preprocessing.to_dict()})
    return path, model, preprocessing


class TestWeights:
    def test_equal_classes_take_all(self, trained):
        path, model, preprocessing = trained
        donor = Donor.read("lenet5_modern", path)
        other = build("lenet5_modern", num_classes=3)
        donor.give(other)
        for name, tensor in other.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name])
        assert donor.preprocessing == preprocessing

    def test_other_classes_get_a_fresh_last_layer(self, trained):
        path, model, _ = trained
        other = build("lenet5_modern", num_classes=7)
        last = other.head.OUTPUT.weight.clone()
        with pytest.warns(WeightsWarning, match="start afresh"):
            Donor.read("lenet5_modern", path).give(other)
        assert torch.equal(other.head.OUTPUT.weight, last)
        assert torch.equal(other.stages.C1.weight, model.stages.C1.weight)

    def test_side_classifiers_that_are_not_there_start_afresh(self, tmp_path):
        torch.manual_seed(1)
        plain = build("googlenet", num_classes=5)
        ca.save(plain, tmp_path / "plain.safetensors")
        sided = build("googlenet", num_classes=5, sides=True)
        before = sided.sides["aux1"].fc2.weight.clone()
        Donor.read("googlenet", tmp_path / "plain.safetensors").give(sided)
        assert torch.equal(sided.sides["aux1"].fc2.weight, before)
        assert torch.equal(sided.head.fc.weight, plain.head.fc.weight)

    def test_weights_of_another_network_are_refused(self, trained):
        with pytest.raises(InputError, match="holds weights of lenet5_modern, not of resnet20"):
            Donor.read("resnet20_cifar", trained[0])
        with pytest.raises(FileError):
            Donor.read("lenet5_modern", "nowhere.safetensors")

    def test_their_preprocessing_can_not_be_set(self, trained, pictures):
        with pytest.raises(InputError, match="resize_shorter can't be set with --weights"):
            make_plan(
                "lenet5_modern",
                pictures,
                changes={"resize_shorter": 64},
                start=Start(trained[0]),
            )

    def test_a_run_begins_with_them(self, trained, pictures, tmp_path):
        path, model, preprocessing = trained
        start = Start(path, freeze=("stages",))
        out = tmp_path / "run"
        start_run("lenet5_modern", pictures, out=out, epochs=2, start=start)
        tuned, metadata = ca.load(out)
        assert torch.equal(tuned.stages.C3.weight, model.stages.C3.weight)
        assert not torch.equal(tuned.head.OUTPUT.weight, model.head.OUTPUT.weight)
        assert metadata["preprocessing"] == preprocessing.to_dict()
        config = json.loads((out / "config.json").read_text())
        assert config["recipe_name"] == "finetune"
        assert config["start"] == {
            "weights": str(path),
            "freeze": ["stages"],
            "layer_decay": 1.0,
        }
        with pytest.raises(InputError, match=r"start\.layer_decay was 1\.0, is 0\.5"):
            start_run(
                "lenet5_modern",
                pictures,
                out=out,
                epochs=2,
                resume=True,
                start=Start(path, ("stages",), 0.5),
            )
