"""Small ordinary models of many kinds, and an example of what each takes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Two convolutions added to the input; one width for the whole row."""

    def __init__(self, width=16, blocks=3):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class ResidualBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class Dense(nn.Module):
    """Every layer takes all that was before; batch norm of concatenations."""

    def __init__(self, growth=8, layers=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + i * growth) for i in range(layers))
        self.convs = nn.ModuleList(
            nn.Conv2d(8 + i * growth, growth, 3, padding=1) for i in range(layers)
        )
        self.head = nn.Linear(8 + layers * growth, 5)

    def forward(self, x):
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return self.head(torch.cat(features, 1).mean((2, 3)))


class Gated(nn.Module):
    """Depthwise and grouped convolutions, squeeze-and-excitation, a flattened end."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.deep = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.more = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.grouped = nn.Conv2d(32, 64, 3, padding=1, groups=4)
        self.norm = nn.GroupNorm(4, 64)
        self.squeeze = nn.Conv2d(64, 8, 1)
        self.excite = nn.Conv2d(8, 64, 1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(64 * 4, 5)

    def forward(self, x):
        x = F.hardswish(self.more(F.relu(self.deep(self.stem(x)))))
        x = self.norm(self.grouped(x))
        gate = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return self.head(self.pool(x * torch.sigmoid(gate)).flatten(1))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.num_heads = heads
        self.head_dim = width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(y.reshape(b, n, self.num_heads * self.head_dim))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        value, gate = self.fc1(self.norm2(x)).chunk(2, -1)
        return x + self.scale * self.fc2(value * F.silu(gate))


class Transformer(nn.Module):
    """Patches, a class token, positions, heads, a gated MLP, layer scale: parameters of its own."""

    def __init__(self, width=32, heads=4, blocks=3):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 5, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class SameNumbers(Transformer):
    """As many heads as numbers of a head: the attributes cannot be told apart by their values."""

    def __init__(self):
        super().__init__(width=64, heads=8, blocks=1)


class Torch(nn.Module):
    """Torch's own attention, and a tied embedding."""

    def __init__(self, width=16, words=11):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words):
        x = self.embedding(words)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.head(x)


class Shuffle(nn.Module):
    """Channels are shuffled between groups, split and concatenated."""

    def __init__(self, width=32):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 1)
        self.branch = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.head = nn.Conv2d(width, 5, 1)

    def forward(self, x):
        left, right = self.stem(x).chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        return self.head(x).mean((2, 3))


class Shared(nn.Module):
    """One layer that is used twice."""

    def __init__(self, width=16):
        super().__init__()
        self.stem = nn.Linear(6, width)
        self.shared = nn.Linear(width, width)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.shared(F.relu(self.stem(x)))
        return self.head(self.shared(F.relu(x)))


class OneDimensional(nn.Module):
    """Convolutions of sequences, transposed back, batch norm of features."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 16, 3)
        self.norm = nn.BatchNorm1d(16)
        self.back = nn.ConvTranspose1d(16, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.back(F.relu(self.norm(self.conv(x)))).amax(2))


class Tables(nn.Module):
    """Positions from a hidden layer that sees no example; GLU, PReLU, repetition."""

    def __init__(self, width=16):
        super().__init__()
        self.first = nn.Conv2d(3, 2 * width, 3, padding=1)
        self.act = nn.PReLU(width)
        self.positions = nn.Linear(2, width)
        self.head = nn.Linear(width, 5)
        self.register_buffer("grid", torch.rand(4, 2))

    def forward(self, x):
        x = self.act(F.glu(self.first(x), 1))
        bias = self.positions(self.grid).t().repeat_interleave(16, 1).view(1, -1, 8, 8)
        return self.head((x + bias).mean((2, 3)))


IMAGES = (2, 3, 8, 8)
MODELS = {
    "residual": (Residual, IMAGES),
    "dense": (Dense, IMAGES),
    "gated": (Gated, IMAGES),
    "transformer": (Transformer, IMAGES),
    "same numbers": (SameNumbers, IMAGES),
    "torch": (Torch, (2, 7)),
    "shuffle": (Shuffle, IMAGES),
    "shared": (Shared, (2, 6)),
    "tables": (Tables, IMAGES),
    "one-dimensional": (OneDimensional, (2, 4, 9)),
}


def made(name):
    """Return a model whose weights and statistics are no defaults, and what it takes."""
    build, shape = MODELS[name]
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x = torch.randint(11, shape) if name == "torch" else torch.randn(shape)
    model.train()
    model(x)  # statistics of batch norm
    return model.eval(), x
