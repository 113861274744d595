"""What seventeen years of depth cost: parameters, multiply-adds, receptive field."""

import convatlas as ca

for name in ("lenet5", "alexnet", "vgg16", "resnet50", "resnet152"):
    report = ca.analyze(name)  # on the meta device: nothing is allocated
    print(
        f"{name:10} {report.params:>12,} parameters {report.macs:>15,} MACs   "
        f"{report.weight_layers:>3} layers, sees {report.receptive_field} pixels"
    )
