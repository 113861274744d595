"""The weights of torchvision for its networks that compute what ours do.

Names, sizes and accuracies are those of torchvision 0.29 (the `meta` of its weights): ImageNet's
50,000 validation images, one central crop. V1 and V2 are its IMAGENET1K_V1 and IMAGENET1K_V2. The
files are called after the first eight digits of their sha256; no more of it is published.
"""

from convatlas.data.preprocess import Preprocessing
from convatlas.weights.keymaps.torchvision import MEAN, RESIZED_TO_232, STD
from convatlas.weights.registry.entry import Published

FOLDER = "https://download.pytorch.org/models/"
CITED = "https://docs.pytorch.org/vision/stable/models.html"
LICENCE = "BSD-3-Clause; the terms of ImageNet may apply"
TABLE = """
network               v   file                                       MB   top-1   top-5
alexnet_owt           v1  alexnet-owt-7be5be79                  233.087  56.522  79.066
vgg11                 v1  vgg11-8a719046                         506.84   69.02  88.628
vgg13                 v1  vgg13-19584684                        507.545  69.928  89.246
vgg16                 v1  vgg16-397923af                        527.796  71.592  90.382
vgg19                 v1  vgg19-dcbb9e9d                        548.051  72.376  90.876
vgg11_bn              v1  vgg11_bn-6002323d                     506.881   70.37   89.81
vgg13_bn              v1  vgg13_bn-abd245e5                      507.59  71.586  90.374
vgg16_bn              v1  vgg16_bn-6c64b313                     527.866   73.36  91.516
vgg19_bn              v1  vgg19_bn-c79401a0                     548.143  74.218  91.842
squeezenet1_0         v1  squeezenet1_0-b66bff10                  4.778  58.092   80.42
squeezenet1_1         v1  squeezenet1_1-b8a52dc0                  4.729  58.178  80.624
resnet18              v1  resnet18-f37072fd                      44.661  69.758  89.078
resnet34              v1  resnet34-b627a593                      83.275  73.314   91.42
resnet50_v1_5         v1  resnet50-0676ba61                      97.781   76.13  92.862
resnet50_v1_5         v2  resnet50-11ad3fa6                       97.79  80.858  95.434
resnet101_v1_5        v1  resnet101-63fe2227                    170.511  77.374  93.546
resnet101_v1_5        v2  resnet101-cd907fc2                     170.53  81.886   95.78
resnet152_v1_5        v1  resnet152-394f9c45                    230.434  78.312  94.046
resnet152_v1_5        v2  resnet152-f82ba261                    230.474  82.284  96.002
resnext50_32x4d       v1  resnext50_32x4d-7cdf4587               95.789  77.618  93.698
resnext50_32x4d       v2  resnext50_32x4d-1a0047aa               95.833  81.198   95.34
resnext101_32x8d      v1  resnext101_32x8d-8ba56ff5             339.586  79.312  94.526
resnext101_32x8d      v2  resnext101_32x8d-110c445d             339.673  82.834  96.228
resnext101_64x4d      v1  resnext101_64x4d-173b62eb             319.318  83.246  96.454
wide_resnet50_2       v1  wide_resnet50_2-95faca4d               131.82  78.468  94.086
wide_resnet50_2       v2  wide_resnet50_2-9ba9bcbe              263.124  81.602  95.758
wide_resnet101_2      v1  wide_resnet101_2-32ee1156             242.896  78.848  94.284
wide_resnet101_2      v2  wide_resnet101_2-d733dc28             484.747   82.51   96.02
densenet121           v1  densenet121-a639ec97                   30.845  74.434  91.972
densenet161           v1  densenet161-8d451a50                  110.369  77.138   93.56
densenet169           v1  densenet169-b2777c0a                   54.708    75.6  92.806
densenet201           v1  densenet201-c1103571                   77.373  76.896   93.37
googlenet_torchvision v1  googlenet-1378be20                     49.731  69.778   89.53
inception_v3          v1  inception_v3_google-0cc3c7bd          103.903  77.294   93.45
efficientnet_b0       v1  efficientnet_b0_rwightman-7f5810bc     20.451  77.692  93.532
efficientnet_b1       v1  efficientnet_b1_rwightman-bac287d4     30.134  78.642  94.186
efficientnet_b1       v2  efficientnet_b1-c27df63c               30.136  79.838  94.934
efficientnet_b2       v1  efficientnet_b2_rwightman-c35c1473     35.174  80.608   95.31
efficientnet_b3       v1  efficientnet_b3_rwightman-b3899882     47.184  82.008  96.054
efficientnet_b4       v1  efficientnet_b4_rwightman-23ab8bcd     74.489  83.384  96.594
efficientnet_b5       v1  efficientnet_b5_lukemelas-1a07897c    116.864  83.444  96.628
efficientnet_b6       v1  efficientnet_b6_lukemelas-24a108a5    165.362  84.008  96.916
efficientnet_b7       v1  efficientnet_b7_lukemelas-c5b4e57e    254.675  84.122  96.908
"""
B1_V2 = Preprocessing((240, 240), MEAN, STD, resize_shorter=255)


def _published(network: str, version: str, file: str, *numbers: str) -> Published:
    megabytes, top1, top5 = map(float, numbers)
    second = B1_V2 if network == "efficientnet_b1" else RESIZED_TO_232
    return Published(
        network,
        f"torchvision_{version}",
        "torchvision",
        (f"{FOLDER}{file}.pth",),
        file.rpartition("-")[2],
        megabytes,
        "imagenet",
        LICENCE,
        top1,
        top5,
        CITED,
        second if version == "v2" else None,
    )


WEIGHTS = tuple(_published(*row.split()) for row in TABLE.strip().splitlines()[1:])
