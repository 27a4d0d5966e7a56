"""SimCLR and BYOL on CIFAR-10 as one writes them with torchvision and a DataLoader: pictures/s of an epoch, the views' making included.

    ssl_peer.py simclr|byol FOLDER
"""
import copy
import os
import sys
import time

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from peer import report

BATCH = 256

VIEW = T.Compose([T.RandomResizedCrop(32, scale=(0.2, 1)), T.RandomHorizontalFlip(), T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
                  T.RandomGrayscale(0.2), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


class Views(Dataset):
    def __init__(self, folder):
        self.pictures = [Image.open(os.path.join(root, name)).convert('RGB') for root, _, names in os.walk(folder) for name in sorted(names) if name.endswith('.jpg')]

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, k):
        return VIEW(self.pictures[k]), VIEW(self.pictures[k])


def network():
    layers, inputs = [], 3
    for width in (64, 128, 256):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def mlp(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


method, folder = sys.argv[1:3]
model = nn.Sequential(network(), mlp(256, 256 if method == 'simclr' else 1024, 128 if method == 'simclr' else 256)).to(memory_format=torch.channels_last)
predictor = mlp(256, 1024, 256)
teacher = copy.deepcopy(model).requires_grad_(False)
parameters = [*model.parameters(), *(predictor.parameters() if method == 'byol' else [])]
optimizer = torch.optim.SGD(parameters, lr=0.12, momentum=0.9, weight_decay=5e-4)
loader = DataLoader(Views(folder), BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)


def loss(a, b):
    if method == 'simclr':
        z = F.normalize(model(torch.cat([a, b])), dim=1)
        n = len(a)
        likeness = z @ z.T / 0.5 - torch.eye(2 * n) * 1e9
        return F.cross_entropy(likeness, (torch.arange(2 * n) + n) % (2 * n))
    with torch.no_grad():
        wanted = teacher(a), teacher(b)
    return sum(2 - 2 * F.cosine_similarity(predictor(model(x)), y).mean() for x, y in ((a, wanted[1]), (b, wanted[0]))) / 2


def epoch():
    count = 0
    for a, b in loader:
        a, b = a.contiguous(memory_format=torch.channels_last), b.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss(a, b).backward()
        optimizer.step()
        if method == 'byol':
            with torch.no_grad():
                for own, other in zip(teacher.parameters(), model.parameters()):
                    own.lerp_(other, 0.01)
        count += len(a)
    return count


epoch()
start = time.time()
report(value=epoch() / (time.time() - start))
