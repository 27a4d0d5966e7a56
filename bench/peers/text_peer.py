"""all-MiniLM-L6-v2 written plainly in PyTorch: sentences to mean-pooled vectors in padded batches of 32, and steps of full fine-tuning.

    text_peer.py vectors WEIGHTS TOKENS     TOKENS: a line of numbers for each sentence
    text_peer.py finetune WEIGHTS TOKENS
"""
import math
import sys
import time

import torch
import torch.nn.functional as F

from peer import load_safetensors, report

BATCH = 32


class Layer(torch.nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (torch.nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = torch.nn.LayerNorm(width, eps=1e-12), torch.nn.LayerNorm(width, eps=1e-12)
        self.up, self.down = torch.nn.Linear(width, inner), torch.nn.Linear(inner, width)

    def forward(self, x, mask):
        n, t, w = x.shape
        q, k, v = (m(x).view(n, t, self.heads, -1).transpose(1, 2) for m in (self.query, self.key, self.value))
        weights = (q @ k.transpose(2, 3) / math.sqrt(w // self.heads) + mask).softmax(-1)
        x = self.norm1(x + self.out((weights @ v).transpose(1, 2).reshape(n, t, w)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(torch.nn.Module):
    def __init__(self, state):
        super().__init__()
        get = lambda name: next(v for k, v in state.items() if k.endswith(name))
        self.words, self.places, self.types = (torch.nn.Embedding.from_pretrained(get(f'embeddings.{kind}_embeddings.weight').float(), freeze=False)
                                               for kind in ('word', 'position', 'token_type'))
        width = self.words.weight.shape[1]
        self.norm = torch.nn.LayerNorm(width, eps=1e-12)
        self.layers = torch.nn.ModuleList(Layer(width, 12, 4 * width) for _ in range(6))
        with torch.no_grad():
            self.norm.weight.copy_(get('embeddings.LayerNorm.weight'))
            self.norm.bias.copy_(get('embeddings.LayerNorm.bias'))
            for k, layer in enumerate(self.layers):
                for module, name in ((layer.query, 'attention.self.query'), (layer.key, 'attention.self.key'), (layer.value, 'attention.self.value'),
                                     (layer.out, 'attention.output.dense'), (layer.norm1, 'attention.output.LayerNorm'), (layer.up, 'intermediate.dense'),
                                     (layer.down, 'output.dense'), (layer.norm2, 'output.LayerNorm')):
                    module.weight.copy_(get(f'layer.{k}.{name}.weight'))
                    module.bias.copy_(get(f'layer.{k}.{name}.bias'))

    def forward(self, ids):
        there = (ids != 0).float()
        x = self.norm(self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.types(torch.zeros_like(ids)))
        mask = (1 - there)[:, None, None, :] * -1e9
        for layer in self.layers:
            x = layer(x, mask)
        return (x * there[:, :, None]).sum(1) / there.sum(1, keepdim=True)


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


job, weights, tokens = sys.argv[1:4]
model = Bert(load_safetensors(weights))
rows = [[int(k) for k in line.split()] for line in open(tokens)]
if job == 'vectors':
    model.eval()
    with torch.inference_mode():
        model(padded(rows[:BATCH]))
        start = time.time()
        vectors = torch.cat([model(padded(rows[k:k + BATCH])) for k in range(0, len(rows), BATCH)])
    report(value=len(rows) / (time.time() - start), first=vectors[0, 0].item())
else:
    head = torch.nn.Linear(model.words.weight.shape[1], 2)
    model.train()
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-5)
    ids, labels = padded(rows[:BATCH]), torch.arange(BATCH) % 2
    for step in range(13):
        if step == 3:
            start = time.time()
        optimizer.zero_grad()
        F.cross_entropy(head(model(ids)), labels).backward()
        optimizer.step()
    report(value=10 * BATCH / (time.time() - start))
