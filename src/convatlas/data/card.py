"""What is known of a source of images, and how its images are brought to a network."""

from dataclasses import dataclass

from convatlas.data.augment import Interpolation
from convatlas.data.preprocess import MODES, Preprocessing
from convatlas.data.splits import Split
from convatlas.errors import InputError

# LeCun et al. 1998, section II-B: x = 1.275 p - 0.1 for ink p in [0, 1], so that the background
# is -0.1 and a stroke is 1.175: about mean 0 and variance 1
LECUN_MEAN, LECUN_STD = 0.1 / 1.275, 1 / 1.275

# Of ImageNet's training images; the constants that torchvision publishes its weights with
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how Pillow turns RGB into grey


@dataclass(frozen=True, slots=True)
class DataCard:
    """What is known of a source.

    Attributes:
        name: What `open_source` takes.
        title: Its published name.
        classes: Their names, by label.
        channels: 1 for grey, 3 for RGB.
        image_size: Height and width of the images; None: they differ.
        mean: Per channel, for values in [0, 1].
        std: Likewise.
        interpolation: Of resizing.
        citation: Who made it.
        licence: Under which terms.
        url: Where it is published.
        centred_in: Size of network in which the images keep their pixels and get a border.
        resized_to: Pixels of the shorter side to which they were brought when they were packed;
            None: they have their own size.
        recompressed_at: Quality of the JPEG that they were made when they were packed; None: they
            have the values they had.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    channels: int
    image_size: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation
    citation: str
    licence: str
    url: str
    centred_in: tuple[int, int] | None = None
    resized_to: int | None = None
    recompressed_at: int | None = None

    def preprocessing(
        self, input_shape: tuple[int, int, int], resize_shorter: int | None = None
    ) -> Preprocessing:
        """Give the preprocessing that brings these images to a network.

        Args:
            input_shape: Channels, height and width that the network takes.
            resize_shorter: Of the recipe; None: stretch.

        Raises:
            InputError: The network takes neither 1 nor 3 channels.
        """
        channels, *size = input_shape
        if channels not in MODES:
            raise InputError(f"images have 1 or 3 channels; this network takes {channels}")
        height, width = size
        border = 0
        if self.image_size is not None and self.centred_in == (height, width):
            border = (height - self.image_size[0]) // 2
        return Preprocessing(
            size=(height, width),
            mean=_adapted(self.mean, channels),
            std=_adapted(self.std, channels),
            resize_shorter=resize_shorter,
            interpolation=self.interpolation,
            border=border,
        )


@dataclass(frozen=True, slots=True)
class Source:
    """A card and its three splits; the test split is for the end."""

    card: DataCard
    train: Split
    val: Split
    test: Split


def _adapted(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    if channels == 3:
        return values * 3
    return (sum(value * weight for value, weight in zip(values, _LUMA, strict=True)),)
