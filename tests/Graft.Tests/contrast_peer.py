"""Losses of self-supervised methods written plainly in PyTorch: two batches of embeddings in, the losses and their gradients by the first batch out."""
import json
import sys

import torch
import torch.nn.functional as F

given = json.loads(sys.argv[1])
labels = torch.tensor(given["labels"])


def nt_xent(a, b, tau=0.5):
    z = F.normalize(torch.cat([a, b]), dim=1)
    n = len(a)
    total = 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        sims = torch.stack([z[i] @ z[k] / tau for k in range(2 * n) if k != i])
        total = total - (z[i] @ z[j] / tau - torch.logsumexp(sims, 0))
    return total / (2 * n)


def supcon(a, b, tau=0.1):
    z = F.normalize(torch.cat([a, b]), dim=1)
    y = torch.cat([labels, labels])
    total = 0.0
    for i in range(len(z)):
        others = [k for k in range(len(z)) if k != i]
        below = torch.logsumexp(torch.stack([z[i] @ z[k] / tau for k in others]), 0)
        positives = [k for k in others if y[k] == y[i]]
        total = total - sum(z[i] @ z[p] / tau - below for p in positives) / len(positives)
    return total / len(z)


def barlow(a, b, lambd=5e-3):
    n, d = a.shape
    norm = torch.nn.BatchNorm1d(d, affine=False, track_running_stats=False)
    c = norm(a).T @ norm(b) / n
    total = 0.0
    for i in range(d):
        for j in range(d):
            total = total + ((1 - c[i, j]) ** 2 if i == j else lambd * c[i, j] ** 2)
    return total / d


def vicreg(a, b):
    n, d = a.shape
    total = 25 * F.mse_loss(a, b)
    for z in (a, b):
        total = total + 25 * F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean() / 2
        c = torch.cov(z.T)
        total = total + sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return total


def byol(a, b):
    return (2 - 2 * F.cosine_similarity(a, b, dim=1)).mean()


made = {}
for name, loss in {"nt-xent": nt_xent, "supcon": supcon, "barlow": barlow, "vicreg": vicreg, "apart": byol}.items():
    a = torch.tensor(given["a"], dtype=torch.float64, requires_grad=True)
    b = torch.tensor(given["b"], dtype=torch.float64)
    value = loss(a, b)
    value.backward()
    made[name] = {"loss": value.item(), "gradient": a.grad.flatten().tolist()}
json.dump(made, sys.stdout)
