"""Layers that several papers share and that are no paper's own contribution."""

from convatlas.layers.blocks import (
    Classifier,
    ConvLayer,
    ConvNorm,
    LocalResponseNorm,
    make_chain,
)
from convatlas.layers.drawing import (
    caffe_xavier_,
    draw_layers,
    fill_bias_,
    he_fan_in_,
    he_normal_,
    no_drawing_on_meta,
)
from convatlas.layers.sizes import Window, check_images, check_map, image_sides, map_side

__all__ = [
    "Classifier",
    "ConvLayer",
    "ConvNorm",
    "LocalResponseNorm",
    "Window",
    "caffe_xavier_",
    "check_images",
    "check_map",
    "draw_layers",
    "fill_bias_",
    "he_fan_in_",
    "he_normal_",
    "image_sides",
    "make_chain",
    "map_side",
    "no_drawing_on_meta",
]
