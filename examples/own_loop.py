"""A network in a training loop of your own: it is an nn.Module like any other."""

import torch

import convatlas as ca
from convatlas.data.loader import batches
from convatlas.data.sources import open_source

digits = open_source("digits")
preprocessing = digits.card.preprocessing((1, 32, 32))

torch.manual_seed(0)
model = ca.create("lenet5_modern")
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(3):
    for batch in batches(digits.train, preprocessing, 64, epoch=epoch, shuffle=True):
        loss = torch.nn.functional.cross_entropy(model(batch.images), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

metadata = {"classes": digits.card.classes, "preprocessing": preprocessing.to_dict()}
ca.save(model, "digits.safetensors", metadata)
