"""How U-Net was trained: section 3. And a recipe of today for a few dozen images.

Run: convatlas train unet --data segmentation:PATH --recipe isbi    # pixel error 0.0611 (Table 1)
     convatlas train unet_padded --data segmentation:PATH --recipe cells --net width=16
"""

from convatlas.data.elastic import Deform, Greys
from convatlas.recipe import SGD, Adam, Recipe
from convatlas.schedules import Cosine, Warmup

RECIPES = {
    "isbi": Recipe(
        where="section 3",
        batch_size=1,  # one large tile
        epochs=1000,  # 30,000 tiles of the 30 images of the EM challenge; the paper: 10 hours
        optimizer=SGD(lr=1e-4, momentum=0.99, form="caffe"),
        augment=(Deform(std=10.0, points=3, degrees=180.0), Greys(contrast=0.2, brightness=0.2)),
        loss="border_weighted",  # w0 = 10, sigma = 5 pixels
        balance="loss",  # w_c
        sources=(
            ("epochs", "our own: the paper prints none"),
            ("optimizer.lr", "our own: the paper prints none"),
            ("augment", "section 3.1; the ranges of turns and greys are our own"),
            ("loss", "section 3, equation 2"),
            ("balance", "section 3, equation 2"),
        ),
        deviations=(
            "Images are mirrored too; section 3.1 names shifts and rotations.",
            "The border term holds for background pixels only, and its distances are those to "
            "cells that are connected by the 4 neighbours; section 3 leaves both open.",
            "Test images are predicted once; Table 1 averages seven rotated versions.",
        ),
    ),
    "cells": Recipe(
        where="our own",
        batch_size=2,
        epochs=60,
        optimizer=Adam(lr=1e-3, weight_decay=1e-4),
        schedule=Warmup(epochs=1.0, then=Cosine(epochs=59)),
        augment=(
            Deform(std=10.0, points=3, degrees=180.0, scale=(0.8, 1.25)),
            Greys(contrast=0.4, brightness=0.3, gamma=0.2),
        ),
        loss="cross_entropy_dice",
        clip_norm=1.0,
        sources=(("loss", "nnU-Net (Isensee et al. 2021)"),),
    ),
}
