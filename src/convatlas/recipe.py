"""The nouns of training: a recipe, its optimizer and its augmentation. Data only, no torch."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, get_args

from convatlas.data.augment import Augmentation
from convatlas.errors import InputError, suggest, unknown
from convatlas.fields import fitted
from convatlas.schedules import Constant, Schedule


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Attributes:
        lr: Learning rate.
        momentum: Of the steps.
        weight_decay: Weight of the squared weights in the loss, twice.
        nesterov: The gradient is taken where the momentum leads; of torch's form only.
        form: Where the rate goes: torch multiplies it into the step, cuda-convnet and Caffe into
            the momentum, so that a cut of the rate acts little by little.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    form: Literal["torch", "caffe"] = "torch"


@dataclass(frozen=True, slots=True)
class RMSProp:
    """RMSProp (Tieleman & Hinton 2012).

    Attributes:
        lr: Learning rate.
        decay: Of the mean of squared gradients.
        momentum: Of the steps.
        eps: Keeps the divisor above 0.
        weight_decay: Weight of the squared weights in the loss, twice.
        form: Libraries differ: torch adds `eps` outside the root and starts the mean at 0,
            TensorFlow adds it inside and starts at 1.
    """

    lr: float
    decay: float = 0.9
    momentum: float = 0.0
    eps: float = 1e-8
    weight_decay: float = 0.0
    form: Literal["torch", "tensorflow"] = "torch"


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma & Ba 2015); weight decay is decoupled (Loshchilov & Hutter 2019)."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class DiagonalLM:
    """Stochastic diagonal Levenberg-Marquardt (LeCun et al. 1998, appendix C).

    Each weight has its own rate, lr / (mu + h), where h is the curvature of the loss along it.

    Attributes:
        lr: The global rate.
        mu: Keeps weights without curvature from going too far.
        samples: Images that h is measured on before each epoch.
        weight_decay: Weight of the squared weights in the loss, twice; h does not know of it.
    """

    lr: float
    mu: float = 0.02
    samples: int = 500
    weight_decay: float = 0.0


Optimizer = SGD | RMSProp | Adam | DiagonalLM


@dataclass(frozen=True, slots=True)
class Mixup:
    """Mix each image with another of its batch, and their labels alike (Zhang et al. 2018).

    Attributes:
        alpha: The share is drawn from Beta(alpha, alpha).
    """

    alpha: float = 0.2


@dataclass(frozen=True, slots=True)
class CutMix:
    """Paste a box of another image of the batch, labels by area (Yun et al. 2019).

    Attributes:
        alpha: The area left is drawn from Beta(alpha, alpha).
    """

    alpha: float = 1.0


Mixing = Mixup | CutMix

Spared = Literal["biases", "norms", "depthwise"]
SPARED: tuple[Spared, ...] = get_args(Spared)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network was trained.

    Attributes:
        where: The section of the paper that says so, or why it is our own.
        batch_size: Images a step.
        epochs: Passes over the training set.
        optimizer: Its rate is multiplied by `schedule` at every step.
        schedule: See `convatlas.schedules`.
        undecayed: Which parameters weight decay spares: all biases, weights and biases of
            normalization, filters of depthwise convolutions; none: all decay.
        bias_rate: Biases learn this many times as fast as weights.
        network: Fields of the network's spec that this recipe changes, such as its dropout, each
            with its value; see `convatlas.catalog.build`.
        augment: Applied to each training image in this order, before the preprocessing.
        mix: One of these, drawn anew, is applied to each batch; none: the images as they are.
        loss: A name in `convatlas.train.losses`.
        label_smoothing: Weight of the uniform distribution in the target (Szegedy et al. 2015).
        sides: Train the side classifiers too, with their weights in the loss; they are dropped
            from the result, as in the paper.
        clip_norm: Greatest norm of all gradients together; None: as large as they are.
        filter_limit: Greatest root mean square of a filter of a convolution, to which larger ones
            are shrunk after each step (Zeiler & Fergus 2013); None: any.
        balance: Against classes of unequal size: "loss" weights each class by the inverse of its
            share, "sampling" draws classes equally often, with replacement.
        ema: Decay of an exponential moving average of the weights, which is then what is
            validated, tested and kept (Polyak & Juditsky 1992); None: the weights themselves.
        resize_shorter: Test images are resized to this shorter side, then cropped to the
            network's input; None: stretched to the network's input.
        tile: Height and width of the tiles that segmentation learns from; None: of the paper's.
        sources: Fields by dotted name, each with the section that says so, the last one of a name
            if there are several; `where` is the source of all others.
        deviations: What we do differently from the paper.
    """

    where: str
    batch_size: int
    epochs: int
    optimizer: Optimizer
    schedule: Schedule = Constant()
    undecayed: tuple[Spared, ...] = ()
    bias_rate: float = 1.0
    network: tuple[tuple[str, bool | int | float | str], ...] = ()
    augment: tuple[Augmentation, ...] = ()
    mix: tuple[Mixing, ...] = ()
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    sides: bool = False
    clip_norm: float | None = None
    filter_limit: float | None = None
    balance: Literal["none", "loss", "sampling"] = "none"
    ema: float | None = None
    resize_shorter: int | None = None
    tile: int | None = None
    sources: tuple[tuple[str, str], ...] = ()
    deviations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sizes and rates that can't train."""
        for name in ("batch_size", "epochs"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.tile is not None and self.tile < 1:
            raise InputError(f"tile must be at least 1 pixel, or null, not {self.tile!r}")
        if not 0 < self.optimizer.lr < float("inf"):
            raise InputError(f"optimizer.lr must be a positive number, not {self.optimizer.lr!r}")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing must be in [0, 1), not {self.label_smoothing!r}")
        if not 0 < self.bias_rate < float("inf"):
            raise InputError(f"bias_rate must be a positive number, not {self.bias_rate!r}")
        for name in ("clip_norm", "filter_limit"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} must be positive, or null for none, not {value!r}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise InputError(f"ema must be between 0 and 1, or null for none, not {self.ema!r}")
        self._check_parts()

    def _check_parts(self) -> None:
        for op in self.mix:
            if not isinstance(op, Mixing) or not 0 < op.alpha < float("inf"):
                raise InputError(f"mix takes Mixup(alpha) and CutMix(alpha), alpha > 0, not {op!r}")
        for op in self.augment:
            if not isinstance(op, Augmentation):
                raise InputError(f"augment takes augmentations such as Flip(), not {op!r}")
        for group in self.undecayed:
            if group not in SPARED:
                raise InputError(f"undecayed has no {group!r}{suggest(group, SPARED)}")

    def source(self, name: str) -> str:
        """Say which section a field comes from.

        Args:
            name: Its dotted name; a source of "optimizer" is one of "optimizer.lr" too.
        """
        sources = dict(self.sources)
        while name not in sources and name:
            name = name.rpartition(".")[0]
        return sources.get(name, self.where)

    def lasting(self, epochs: int) -> "Recipe":
        """Give the same recipe for another number of epochs, its schedule stretched to match."""
        if not isinstance(epochs, int) or epochs < 1:
            raise InputError(f"epochs must be a whole number of at least 1, not {epochs!r}")
        schedule = self.schedule.stretched(epochs / self.epochs)
        return replace(self, epochs=epochs, schedule=schedule)


def override(recipe: Any, changes: dict[str, Any]) -> Any:
    """Replace fields of a recipe by dotted name: `{"epochs": 2, "optimizer.lr": 0.1}`.

    Raises:
        UnknownNameError: No such field; the message lists near ones.
        InputError: The value has another type than the field's.
    """
    for name, value in changes.items():
        recipe = _replaced(recipe, name, name.split("."), value)
    return recipe


def to_dict(data: Any) -> Any:
    """Give a recipe, or a part of one, as JSON can hold it; `kind` is the name of its class."""
    if is_dataclass(data):
        values = {f.name: to_dict(getattr(data, f.name)) for f in fields(data)}
        return {"kind": type(data).__name__, **values}
    return [to_dict(part) for part in data] if isinstance(data, tuple) else data


def _replaced(data: Any, name: str, path: list[str], value: Any) -> Any:
    allowed = [f.name for f in fields(data)] if is_dataclass(data) else []
    if path[0] not in allowed:
        prefix = name.removesuffix(".".join(path))
        raise unknown("recipe field", name, [prefix + field for field in allowed])
    old = getattr(data, path[0])
    if len(path) > 1:
        new = _replaced(old, name, path[1:], value)
    elif is_dataclass(old):
        parts = ", ".join(f"{name}.{f.name}" for f in fields(old))
        more = f"has parts; set one of them: {parts}" if parts else "has no parts to set"
        raise InputError(f"{name} {more} (it is {old!r})")
    else:
        new = fitted(data, path[0], value, name)
    return replace(data, **{path[0]: new})
