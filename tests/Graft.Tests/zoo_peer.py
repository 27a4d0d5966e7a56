"""torchvision's networks with weights that only seeds decide: scores and gradient norms, a JSON object a line.

    zoo_peer.py NAME:SIDE ...
"""
import json
import math
import sys

import torch
import torchvision


def fill(state):
    for index, (name, tensor) in enumerate(sorted(state.items())):
        if not tensor.is_floating_point():
            continue
        torch.manual_seed(index)
        if name.endswith('running_var'):
            tensor.uniform_(.5, 2)
        elif tensor.dim() > 1:
            tensor.normal_(0, math.sqrt(2 / (tensor.numel() / tensor.shape[0])))
        elif name.endswith('weight'):
            tensor.uniform_(.5, 1.5)
        else:
            tensor.normal_(0, .1)


for item in sys.argv[1:]:
    name, side = item.split(':')
    more = {'aux_logits': False, 'init_weights': False} if name in ('googlenet', 'inception_v3') else {}
    model = getattr(torchvision.models, name)(**more).eval()
    with torch.no_grad():
        fill(model.state_dict())
    # In double precision, so that only another function could differ.
    model = model.double()
    torch.manual_seed(1)
    x = (torch.rand(2, 3, int(side), int(side)) * 2 - 1).double()
    y = model(x)
    (y * y).mean().backward()
    norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in model.parameters()))
    first = sorted((n, p) for n, p in model.named_parameters())[0][1].grad.double().norm().item()
    print(json.dumps({'name': name, 'scores': y.flatten()[:64].double().tolist(), 'norm': norm, 'first': first, 'parameters': sum(p.numel() for p in model.parameters())}), flush=True)
