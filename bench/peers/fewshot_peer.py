"""Prototypical networks and MAML in plain PyTorch, as one would write them: episodes a second on Omniglot.

    fewshot_peer.py protonet|maml ZIP
"""
import io
import json
import random
import resource
import sys
import time
import zipfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

WAY = {'protonet': 20, 'maml': 5}
SHOT, QUERY = 1, 5


def load(path):
    archive = zipfile.ZipFile(path)
    classes = {}
    for name in sorted(n for n in archive.namelist() if n.endswith('.png')):
        picture = Image.open(io.BytesIO(archive.read(name))).convert('L').resize((28, 28), Image.BILINEAR)
        classes.setdefault(name.rsplit('/', 1)[0], []).append(np.asarray(picture, np.float32) / 127.5 - 1)
    return torch.tensor(np.stack([np.stack(found) for found in classes.values()])).unsqueeze(2)


def episode(data, way):
    support, query = [], []
    for c in random.sample(range(len(data)), way):
        chosen = random.sample(range(data.shape[1]), SHOT + QUERY)
        support.append(data[c, chosen[:SHOT]])
        query.append(data[c, chosen[SHOT:]])
    labels = torch.arange(way)
    return torch.cat(support), labels.repeat_interleave(SHOT), torch.cat(query), labels.repeat_interleave(QUERY)


def protonet(data, steps, batch):
    layers = []
    for k in range(4):
        layers += [nn.Conv2d(1 if k == 0 else 64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten())
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    way = WAY['protonet']

    def step():
        optimizer.zero_grad()
        for _ in range(batch):
            xs, ys, xq, yq = episode(data, way)
            z = net(torch.cat([xs, xq]))
            prototypes = z[:len(xs)].reshape(way, SHOT, -1).mean(1)
            loss = F.cross_entropy(-torch.cdist(z[len(xs):], prototypes) ** 2, yq) / batch
            loss.backward()
        optimizer.step()
    return timed(step, steps) * batch


def maml(data, steps, batch):
    weights = []
    for k in range(4):
        weights += [nn.Parameter(torch.empty(64, 1 if k == 0 else 64, 3, 3)), nn.Parameter(torch.ones(64)), nn.Parameter(torch.zeros(64))]
        nn.init.kaiming_normal_(weights[-3])
    way = WAY['maml']
    weights += [nn.Parameter(torch.randn(way, 256) * .05), nn.Parameter(torch.zeros(way))]
    optimizer = torch.optim.Adam(weights, 1e-3)

    def forward(x, w):
        for k in range(4):
            x = F.relu(F.batch_norm(F.conv2d(x, w[3 * k], stride=2, padding=1), None, None, w[3 * k + 1], w[3 * k + 2], training=True))
        return F.linear(x.flatten(1), w[-2], w[-1])

    def step():
        optimizer.zero_grad()
        for _ in range(batch):
            xs, ys, xq, yq = episode(data, way)
            gradients = torch.autograd.grad(F.cross_entropy(forward(xs, weights), ys), weights, create_graph=True)
            adapted = [w - .4 * g for w, g in zip(weights, gradients)]
            (F.cross_entropy(forward(xq, adapted), yq) / batch).backward()
        optimizer.step()
    return timed(step, steps) * batch


def timed(step, steps):
    for _ in range(3):
        step()
    start = time.time()
    for _ in range(steps):
        step()
    return steps / (time.time() - start)


torch.manual_seed(0)
random.seed(0)
pictures = load(sys.argv[2])
value = protonet(pictures, 40, 2) if sys.argv[1] == 'protonet' else maml(pictures, 40, 8)
print(json.dumps({'value': value, 'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
