"""Each recipe can teach its network: four images by heart."""

import pkgutil

import pytest
import torch

from convatlas import recipes
from convatlas.catalog import ARCHITECTURES, build, find
from convatlas.errors import InputError
from convatlas.train.losses import make_loss
from convatlas.train.optimizers import make_optimizer, set_rate
from convatlas.train.plan import choose_recipe, find_recipes

IMAGES = 4
STEPS = 1000
LIGHT = (
    "lenet5-mnist",
    "lenet5-digits",
    "lenet5_modern-mnist_modern",
    "resnet20_cifar-cifar10",
    "densenet40_k12_cifar-cifar10",
    "mobilenet_v1-imagenet",
    "cnn_flatten-mnist",
    "cnn_gap-mnist_gap",
)


def network_of(architecture, recipe):
    """The first network that takes this recipe by itself, or one of the same images."""
    for source in ("folder:pictures", *find_recipes(architecture.name)):
        for name in architecture.variants:
            if choose_recipe(name, source) == recipe:
                return name
    for name in architecture.variants:
        if choose_recipe(name, "folder:pictures").startswith(recipe.partition("_")[0]):
            return name
    return next(iter(architecture.variants))


def cases():
    written = {module.name for module in pkgutil.iter_modules(recipes.__path__)}
    for architecture in ARCHITECTURES:
        if architecture.name not in written:
            continue
        for recipe in find_recipes(architecture.name):
            name = network_of(architecture, recipe)
            case = f"{name}-{recipe}"
            marks = [] if case in LIGHT else [pytest.mark.slow, pytest.mark.timeout(1800)]
            yield pytest.param(architecture.name, recipe, name, id=case, marks=marks)


def small_images(model, shape):
    """Images of 64 pixels where the network takes them: a large one learns as much."""
    images = torch.randn(IMAGES, *shape)
    small = images[:, :, :64, :64].contiguous()
    try:
        with torch.no_grad():
            model(small)
    except InputError:
        return images
    return small


@pytest.mark.parametrize(("architecture", "recipe_name", "name"), list(cases()))
def test_four_images_by_heart(architecture, recipe_name, name):
    recipe = find_recipes(architecture)[recipe_name]
    torch.manual_seed(0)
    model = build(name)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # against learning by heart
    images, labels = small_images(model, find(name)[1].input_shape), torch.arange(IMAGES)
    optimizer = make_optimizer(recipe.optimizer, model.parameters())
    if find(name)[1].num_classes == 1000:
        # fewer images, smaller steps (Goyal et al. 2017, section 2.1): AlexNet's would diverge
        set_rate(optimizer, recipe.optimizer.lr * min(1, IMAGES / recipe.batch_size))
    loss_of = make_loss(recipe.loss, recipe.label_smoothing)
    first = None
    for step in range(STEPS):
        torch.manual_seed(step)
        logits = model(images)
        loss = loss_of(logits, labels)
        first = loss.item() if first is None else first
        if loss < first / 2 and torch.equal(logits.argmax(dim=1), labels):
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"after {STEPS} steps the loss is {loss.item():.3f}; it was {first:.3f}")
