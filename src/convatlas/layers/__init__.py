"""Layers that several papers share and that are no paper's own contribution."""

from convatlas.layers.blocks import (
    Classifier,
    ConvLayer,
    ConvNorm,
    ResidualUnit,
    make_chain,
)
from convatlas.layers.codes import CODE_LENGTH, class_codes
from convatlas.layers.drawing import (
    caffe_xavier_,
    draw_layers,
    drawn_once,
    fill_bias_,
    glorot_uniform_,
    he_fan_in_,
    he_normal_,
    torch_bias_,
    truncated_normal_,
    undrawn_on_meta,
)
from convatlas.layers.recomputing import concatenated_again
from convatlas.layers.response_norm import LocalResponseNorm
from convatlas.layers.sizes import Window, check_images, check_map, image_sides, map_side
from convatlas.layers.towers import TowerNorm, Towers

__all__ = [
    "CODE_LENGTH",
    "Classifier",
    "ConvLayer",
    "ConvNorm",
    "LocalResponseNorm",
    "ResidualUnit",
    "TowerNorm",
    "Towers",
    "Window",
    "caffe_xavier_",
    "check_images",
    "check_map",
    "class_codes",
    "concatenated_again",
    "draw_layers",
    "drawn_once",
    "fill_bias_",
    "glorot_uniform_",
    "he_fan_in_",
    "he_normal_",
    "image_sides",
    "make_chain",
    "map_side",
    "torch_bias_",
    "truncated_normal_",
    "undrawn_on_meta",
]
