"""Networks with the names of Gradus' parameters."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class FlattenImages(nn.Module):
    """In the order of NHWC, as Gradus' weights are."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Residual(nn.Module):
    def __init__(self, main, shortcut):
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


class GlobalAverage(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def residual(inputs, inner, outputs, stride, bottleneck):
    norm, relu = nn.BatchNorm2d, nn.ReLU
    if bottleneck:
        main = [convolution(inputs, inner, 1), norm(inner), relu(), convolution(inner, inner, 3, stride), norm(inner), relu()]
        main += [convolution(inner, outputs, 1), norm(outputs)]
    else:
        main = [convolution(inputs, outputs, 3, stride), norm(outputs), relu(), convolution(outputs, outputs, 3), norm(outputs)]
    same = stride == 1 and inputs == outputs
    shortcut = nn.Identity() if same else nn.Sequential(convolution(inputs, outputs, 1, stride), norm(outputs))
    return Residual(nn.Sequential(*main), shortcut)


def resnet(stem, blocks, channels, bottleneck, inputs, classes):
    layers, width = stem, channels
    for stage, count in enumerate(blocks):
        inner = channels << stage
        outputs = 4 * inner if bottleneck else inner
        for block in range(count):
            layers.append(residual(width, inner, outputs, 2 if stage > 0 and block == 0 else 1, bottleneck))
            width = outputs
    return nn.Sequential(*layers, GlobalAverage(), nn.Linear(width, classes))


def large_resnet(blocks, bottleneck, inputs, classes):
    stem = [convolution(inputs, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return resnet(stem, blocks, 64, bottleneck, inputs, classes)


def small_resnet(inputs, classes):
    return resnet([convolution(inputs, 16, 3), nn.BatchNorm2d(16), nn.ReLU()], [3, 3, 3], 16, False, inputs, classes)


def mlp(pixels, classes):
    hidden = [nn.Linear(pixels, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(FlattenImages(), *hidden, nn.Linear(512, classes))


def cnn(inputs, side, classes):
    first = [convolution(inputs, 32, 3), nn.BatchNorm2d(32), nn.ReLU()]
    second = [convolution(32, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
    hidden = [FlattenImages(), nn.Linear(64 * (side // 2) ** 2, 128), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*first, *second, *hidden, nn.Linear(128, classes))


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = width // 64
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        parts = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(n, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.LayerNorm(width)
        self.attention = Attention(width)
        self.second = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attention(self.first(x))
        return x + self.down(F.gelu(self.up(self.second(x))))


class Gpt(nn.Module):
    def __init__(self, state):
        super().__init__()
        vocabulary, width = state["tokens.weight"].shape
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty_like(state["positions"]))
        layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, x):
        stream = self.tokens(x) + self.positions[: x.shape[1]]
        for block in self.blocks:
            stream = block(stream)
        return self.head(self.norm(stream)).flatten(0, 1)


def network(workload, x, state):
    name = workload.removeprefix("tiny-")
    if name.startswith("gpt"):
        return Gpt(state)
    classes, side, inputs = [len(v) for v in state.values()][-1], x.shape[2], x.shape[1]
    if name == "mlp":
        return mlp(inputs * side * side, classes)
    if name == "cnn":
        return cnn(inputs, side, classes)
    if name == "resnet20":
        return small_resnet(inputs, classes)
    return large_resnet({"resnet18": [2, 2, 2, 2], "resnet50": [3, 4, 6, 3]}[name], name == "resnet50", inputs, classes)
