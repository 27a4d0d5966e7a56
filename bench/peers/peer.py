"""What a Python user would write for the same jobs: torch, torchvision and scikit-learn, straightforwardly.

Each job prints one JSON object: its figure and the peak memory of the process and its workers.
"""
import json
import os
import resource
import sys
import time

DATA = os.environ['GRAFT_DATA']
ANTS = os.path.join(DATA, 'hymenoptera')
WEIGHTS = os.path.join(DATA, 'weights', 'mobilenet_v2_imagenet.safetensors')


def report(**figures):
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({**figures, 'peak_mb': round((own + workers) / 1024)}))


def load_safetensors(path):
    import numpy as np
    import torch
    with open(path, 'rb') as file:
        n = int.from_bytes(file.read(8), 'little')
        header = json.loads(file.read(n))
        data = file.read()
    kinds = {'F32': np.float32, 'I64': np.int64}
    state = {}
    for name, about in header.items():
        if name == '__metadata__':
            continue
        a, b = about['data_offsets']
        state[name] = torch.from_numpy(np.frombuffer(data[a:b], kinds[about['dtype']]).reshape(about['shape']).copy())
    return state


def mobilenet():
    """torchvision's MobileNetV2 with the checkpoint's padding: 0 before and 1 after each convolution of stride 2."""
    import torch
    import torch.nn.functional as F
    import torchvision

    class Same(torch.nn.Conv2d):
        def forward(self, x):
            return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    model = torchvision.models.mobilenet_v2(num_classes=1001)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2):
            module.__class__ = Same
    model.load_state_dict(load_safetensors(WEIGHTS))
    return model


def transform(train=False):
    from torchvision import transforms as T
    steps = [T.RandomResizedCrop(224), T.RandomHorizontalFlip()] if train else [T.Resize(256), T.CenterCrop(224)]
    return T.Compose(steps + [T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def folders(train_transform=False):
    from torchvision.datasets import ImageFolder
    return {part: ImageFolder(os.path.join(ANTS, part), transform(train_transform and part == 'train')) for part in ('train', 'val')}


def tutorial():
    """The PyTorch tutorial's "ConvNet as fixed feature extractor": 25 epochs, batches of 4, 4 workers."""
    import torch
    start = time.time()
    sets = folders(train_transform=True)
    loaders = {part: torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, num_workers=4) for part, data in sets.items()}
    model = mobilenet()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier[1] = torch.nn.Linear(1280, 2)
    optimizer = torch.optim.SGD(model.classifier[1].parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best = 0
    for epoch in range(int(os.environ.get('EPOCHS', 25))):
        for part in ('train', 'val'):
            model.train(part == 'train')
            right = 0
            for x, y in loaders[part]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(part == 'train'):
                    scores = model(x)
                    loss = torch.nn.functional.cross_entropy(scores, y)
                    if part == 'train':
                        loss.backward()
                        optimizer.step()
                right += (scores.argmax(1) == y).sum().item()
            if part == 'train':
                schedule.step()
            else:
                best = max(best, right / len(sets['val']))
    report(value=time.time() - start, accuracy=best)


def features():
    """Frozen features of every photograph: eager PyTorch, its DataLoader."""
    import torch
    sets = folders()
    model = mobilenet().eval()
    loaders = [torch.utils.data.DataLoader(data, batch_size=32, num_workers=2) for data in sets.values()]
    with torch.inference_mode():
        model.features(torch.zeros(4, 3, 224, 224))
        start = time.time()
        count = 0
        for loader in loaders:
            for x, _ in loader:
                model.features(x).mean([2, 3])
                count += len(x)
    report(value=count / (time.time() - start))


def decode():
    """Decode, resize, crop, normalise, on one core; three times over, so that starting up weighs little."""
    import torch
    torch.set_num_threads(1)
    sets = folders()
    start = time.time()
    count = sum(1 for _ in range(3) for data in sets.values() for _ in data)
    report(value=count / (time.time() - start))


def finetune_loop(model, x, y, steps, batch):
    import torch
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-4)
    for step in range(steps + 3):
        if step == 3:
            start = time.time()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return steps * batch / (time.time() - start)


def finetune_mobilenet():
    """Full fine-tuning steps, BatchNorm statistics frozen (module.eval() on each norm), as fine-tuning should."""
    import torch
    torch.manual_seed(0)
    model = mobilenet()
    model.classifier[1] = torch.nn.Linear(1280, 2)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    report(value=finetune_loop(model, torch.randn(32, 3, 224, 224), torch.randint(2, (32,)), 6, 32))


def cifar_resnet(n=3):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Block(nn.Module):
        def __init__(self, a, b, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
            self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
            self.added = b - a

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            if self.added:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
            return F.relu(y + x)

    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    a = 16
    for k in range(3):
        for b in range(n):
            layers.append(Block(a, 16 << k, 2 if k and not b else 1))
            a = 16 << k
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def finetune_resnet20():
    import torch
    torch.manual_seed(0)
    model = cifar_resnet()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    report(value=finetune_loop(model, torch.randn(128, 3, 32, 32), torch.randint(10, (128,)), 15, 128))


def head_problem():
    import numpy as np
    raw = np.fromfile(os.environ['HEAD_FEATURES'], np.float32)
    labels = np.fromfile(os.environ['HEAD_LABELS'], np.int64)
    return raw.reshape(len(labels), -1).astype(np.float64), labels


def head_softmax():
    """scikit-learn's LogisticRegression; the objective it reaches is printed, for the other side to reach too."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    x, y = head_problem()
    start = time.time()
    model = LogisticRegression(C=1.0, tol=float(os.environ.get('TOL', 1e-4)), max_iter=10000, multi_class='multinomial').fit(x, y)
    seconds = time.time() - start
    scores = x @ model.coef_.T + model.intercept_
    scores -= scores.max(1, keepdims=True)
    loss = (np.log(np.exp(scores).sum(1)) - scores[np.arange(len(y)), y]).sum()
    report(value=seconds, objective=float(loss + 0.5 * (model.coef_ ** 2).sum()))


def head_svm():
    import numpy as np
    from sklearn.svm import LinearSVC
    x, y = head_problem()
    start = time.time()
    model = LinearSVC(C=1.0, tol=float(os.environ.get('TOL', 1e-4)), dual=len(x) < x.shape[1], max_iter=100000).fit(x, y)
    seconds = time.time() - start
    scores = x @ model.coef_.T + model.intercept_
    signs = np.where(np.arange(scores.shape[1])[None] == y[:, None], 1, -1)
    loss = (np.maximum(0, 1 - signs * scores) ** 2).sum()
    report(value=seconds, objective=float(loss + 0.5 * (model.coef_ ** 2).sum() + 0.5 * (model.intercept_ ** 2).sum()))


def rbm():
    """scikit-learn's BernoulliRBM, which learns by persistent chains too: 500 hidden units on 10,000 pictures of MNIST, float32 as Graft's."""
    import gzip
    import numpy as np
    from sklearn.neural_network import BernoulliRBM
    with gzip.open(os.path.join(DATA, 'mnist', 'train-images-idx3-ubyte.gz')) as file:
        x = np.frombuffer(file.read(16 + 10000 * 784)[16:], np.uint8).reshape(10000, 784).astype(np.float32) / 255
    model = BernoulliRBM(500, learning_rate=0.02, batch_size=int(sys.argv[2]), n_iter=2, random_state=0)
    start = time.time()
    model.fit(x)
    report(value=2 * len(x) / (time.time() - start))


def predict():
    """One picture, from a saved model, in a process of its own."""
    import torch
    from PIL import Image
    model = mobilenet()
    model.classifier[1] = torch.nn.Linear(1280, 2)
    model.eval()
    with torch.inference_mode():
        x = transform()(Image.open(sys.argv[2]).convert('RGB'))[None]
        scores = model(x).softmax(1)[0]
    report(value=0, label=int(scores.argmax()), probability=float(scores.max()))


if __name__ == '__main__':
    globals()[sys.argv[1].replace('-', '_')]()
