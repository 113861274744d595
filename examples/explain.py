"""Which pixels speak for a class: Grad-CAM on any network, here an untrained one."""

import torch

import convatlas as ca
from convatlas.visualize.grad_cam import grad_cam

torch.manual_seed(0)
model = ca.create("resnet18", num_classes=10)
image = torch.randn(1, 3, 224, 224)

heat = grad_cam(model, image, 3)[0]  # at the layer that model.cam_layer names
row, column = divmod(int(heat.argmax()), heat.shape[1])
print(f"{model.cam_layer}: most evidence for class 3 at row {row}, column {column}")
