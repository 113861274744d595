"""How U-Net was trained: section 3.

Run: convatlas train unet --data segmentation:PATH --recipe isbi    # pixel error 0.0611 (Table 1)
"""

from convatlas.recipe import SGD, Recipe

RECIPES = {
    "isbi": Recipe(
        where="section 3; the rate and the length are ours",
        batch_size=1,  # one large tile (section 3)
        epochs=1000,  # 30,000 tiles of the 30 images of the EM challenge; the paper: 10 hours
        optimizer=SGD(
            lr=1e-3,  # the paper prints none
            momentum=0.99,  # section 3
        ),
        deviations=(
            "Every pixel counts alike; equation 2 raises the weight of the borders between cells "
            "that touch (w0 = 10, sigma = 5 pixels) and of rare classes.",
            "Images are not changed; section 3.1 shifts and rotates them, varies their grey values "
            "and deforms them elastically (3x3 grid, displacements of 10 pixels).",
            "Test images are predicted once; Table 1 averages seven rotated versions.",
        ),
    ),
}
