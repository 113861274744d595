"""How Inception-ResNet was trained: section 4, the same as Inception-v4.

Run: convatlas train inception_resnet_v2 --data folder:PATH --recipe imagenet    # 80.1 % (Table 2)
"""

from convatlas.recipes import inception_v4

RECIPES = {"imagenet": inception_v4.RECIPES["imagenet"]}
