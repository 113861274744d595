"""Weights that others publish: data only, one file for each who publishes."""

from convatlas.weights.registry import akamaster, torchvision
from convatlas.weights.registry.entry import Published

REGISTRY: tuple[Published, ...] = (*torchvision.WEIGHTS, *akamaster.WEIGHTS)
