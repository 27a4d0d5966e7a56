"""The peers of the pretrained-network benchmarks, in PyTorch and torchvision: one job a run, one JSON object on stdout.

    zoo_peer.py load FILE | sliding SIDE
"""
import json
import resource
import sys
import time

import torch
import torchvision


def report(**values):
    print(json.dumps({**values, 'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


def load(path):
    """A checkpoint file to a network that is ready to run."""
    start = time.time()
    state = torch.load(path)
    model = torchvision.models.resnet50()
    model.load_state_dict(state)
    model.eval()
    report(value=time.time() - start)


def sliding(side):
    """AlexNet over a larger picture by cutting out every window of 224 at its stride of 32."""
    torch.set_num_threads(2)
    model = torchvision.models.alexnet().eval()
    x = torch.rand(1, 3, side, side)
    with torch.no_grad():
        model(x[:, :, :224, :224])
        start = time.time()
        for y in range(0, side - 223, 32):
            for z in range(0, side - 223, 32):
                model(x[:, :, y:y + 224, z:z + 224])
    report(value=time.time() - start)


if sys.argv[1] == 'load':
    load(sys.argv[2])
else:
    sliding(int(sys.argv[2]))
