"""The recipe cifar10-fast, step for step that of io.gradus.train.CifarFast, as PyTorch's users would write it.

Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, 2024. Where tensor cores are asked for, weights
and activations are float16 as there, which is faster than autocast to bfloat16; batch norms stay float32. Batches much smaller than
the paper's 1024 move such weights by less than they can show.
"""

import math
import struct

import torch
import torch.nn as nn
import torch.nn.functional as F

from device import DEVICE, ON_GPU, Moment, allow_tf32

SIDE, PATCH, MOVE = 32, 2, 2
WHITENING_IMAGES, WHITENING_EPS, WHITENING_BIAS_EPOCHS = 5000, 5e-4, 3
MOMENTUM, RATE, WEIGHT_DECAY, BIAS_FACTOR, SMOOTHING = 0.85, 11.5, 0.0153, 64, 0.2
LOOKAHEAD_STEPS, LOOKAHEAD_DECAY = 5, 0.95
EVALUATION_BATCH = 500


def read_images(file, count):
    """uint8 [N, 32, 32, 3], then a label a byte."""
    pixels = torch.frombuffer(bytearray(file.read(count * SIDE * SIDE * 3)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(file.read(count)), dtype=torch.uint8)
    return pixels.view(count, SIDE, SIDE, 3).to(DEVICE), labels.long().to(DEVICE)


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def whitening_filters(images):
    patches = images.float().unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    values, vectors = torch.linalg.eigh((patches.T @ patches / len(patches)).double())
    filters = (vectors / (values.clamp(min=0) + WHITENING_EPS).sqrt()).T.flip(0).reshape(-1, 3, PATCH, PATCH)
    return torch.cat([filters, -filters]).float()


def convolution(inputs, outputs):
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[: min(inputs, outputs)])
    return conv


def norm(channels):
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


class Network(nn.Module):
    def __init__(self, widths, filters):
        super().__init__()
        self.whitening = nn.Conv2d(3, len(filters), PATCH)
        with torch.no_grad():
            self.whitening.weight.copy_(filters)
        self.whitening.weight.requires_grad = False
        layers, channels = [nn.GELU()], len(filters)
        for width in widths:
            layers += [convolution(channels, width), nn.MaxPool2d(2), norm(width), nn.GELU()]
            layers += [convolution(width, width), norm(width), nn.GELU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(channels, 10, bias=False))

    def forward(self, x):
        return self.body(self.whitening(x)) / 9


class Recipe:
    """Runs on the images of FILE; each run has a seed of its own."""

    def __init__(self, path, epochs, batch, widths, compiled, precision):
        allow_tf32(precision == "tf32")
        self.type = torch.float16 if precision == "bf16" else torch.float32
        self.epochs, self.batch, self.widths, self.compiled = epochs, batch, widths, compiled
        with open(path, "rb") as file:
            train, test = struct.unpack(">ii", file.read(8))
            pixels, self.labels = read_images(file, train)
            test_pixels, self.test_labels = read_images(file, test)
        values = pixels.double() / 255
        mean, std = values.mean((0, 1, 2)), values.std((0, 1, 2), correction=0)

        def normalised(p):
            return channels_last(((p.float() / 255 - mean.float()) / std.float()).to(self.type).permute(0, 3, 1, 2))

        self.images, self.test_images = normalised(pixels), normalised(test_pixels)
        self.filters = whitening_filters(self.images[:WHITENING_IMAGES])
        self.per_epoch = train // batch
        self.total = max(1, math.ceil(epochs * self.per_epoch))
        self.model = None

    def prepare(self, seed):
        torch.manual_seed(seed)
        net = Network(self.widths, self.filters).to(DEVICE, memory_format=torch.channels_last)
        if self.type != torch.float32:
            net.to(self.type)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.float()
        if self.model is None:
            self.net, self.model = net, torch.compile(net, mode="max-autotune") if self.compiled else net
        else:
            # Into the network that was compiled before.
            self.net.load_state_dict(net.state_dict())
        self.net.whitening.bias.requires_grad = True
        self.net.zero_grad(set_to_none=True)

    def optimizer(self):
        kilo = 1024 * (1 + 1 / (1 - MOMENTUM))
        rate, decay = RATE / kilo, WEIGHT_DECAY * self.batch / kilo
        biases = [m.bias for m in self.net.modules() if isinstance(m, nn.BatchNorm2d)]
        others = [p for p in self.net.parameters() if p.requires_grad and all(p is not b for b in biases)]
        groups = [dict(params=p, lr=r, weight_decay=decay / r) for p, r in ((biases, rate * BIAS_FACTOR), (others, rate))]
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True, fused=True)

    def rate(self, step):
        peak = math.floor(0.23 * self.total)
        if step < peak:
            return 0.2 + 0.8 * step / peak
        return 1 - 0.93 * min(1, (step - peak) / max(1, self.total - peak))

    def epoch_images(self, padded, mirrored, epoch):
        """Every image moved by up to two pixels, and one half mirrored, the other one in the next epoch."""
        count, reach = len(padded), 2 * MOVE + 1
        moves = torch.randint(reach * reach, (count,), device=DEVICE)
        out = torch.empty_like(self.images)
        for move in range(reach * reach):
            some = (moves == move).nonzero().flatten()
            y, x = divmod(move, reach)
            out[some] = padded[some, :, y : y + SIDE, x : x + SIDE]
        flipped = (mirrored ^ (epoch % 2 == 1)).view(-1, 1, 1, 1)
        return channels_last(torch.where(flipped, out.flip(3), out))

    def train(self, seed):
        """Seconds of training, and the share of right answers."""
        self.prepare(seed)
        optimizer = self.optimizer()
        bases = [group["lr"] for group in optimizer.param_groups]
        averaged = [v for v in self.net.state_dict().values() if v.is_floating_point()]
        slow = [v.clone() for v in averaged]
        padded = F.pad(self.images, (MOVE,) * 4, "reflect")
        mirrored = torch.rand(len(padded), device=DEVICE) < 0.5
        self.model.train()
        begin, step = Moment(), 0
        for epoch in range(math.ceil(self.total / self.per_epoch)):
            images, order = self.epoch_images(padded, mirrored, epoch), torch.randperm(len(padded), device=DEVICE)
            self.net.whitening.bias.requires_grad = epoch < WHITENING_BIAS_EPOCHS
            for index in range(min(self.per_epoch, self.total - step)):
                chosen = order[index * self.batch : (index + 1) * self.batch]
                logits = self.model(images[chosen])
                F.cross_entropy(logits.float(), self.labels[chosen], label_smoothing=SMOOTHING, reduction="sum").backward()
                for group, base in zip(optimizer.param_groups, bases):
                    group["lr"] = base * self.rate(step)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
                if step == self.total or step % LOOKAHEAD_STEPS == 0:
                    self.follow(slow, averaged, step)
        seconds = begin.seconds()
        return seconds, self.test()

    @torch.no_grad()
    def follow(self, slow, averaged, step):
        decay = 1.0 if step == self.total else LOOKAHEAD_DECAY**LOOKAHEAD_STEPS * (step / self.total) ** 3
        torch._foreach_lerp_(slow, averaged, 1 - decay)
        torch._foreach_copy_(averaged, slow)

    @torch.no_grad()
    def test(self):
        """The mean over the image and its moves up and left and down and right, and over their mirror images."""
        self.net.eval()
        right = 0
        for begin in range(0, len(self.test_images), EVALUATION_BATCH):
            x = self.test_images[begin : begin + EVALUATION_BATCH]
            padded = F.pad(x, (1,) * 4, "reflect")
            sum_of = torch.zeros(len(x), 10, device=DEVICE)
            for at, weight in ((1, 0.5), (2, 0.25), (0, 0.25)):
                copy = channels_last(padded[:, :, at : at + SIDE, at : at + SIDE])
                for one in (copy, channels_last(copy.flip(3))):
                    sum_of += self.net(one).float() * weight
            right += (sum_of.argmax(1) == self.test_labels[begin : begin + EVALUATION_BATCH]).sum().item()
        return right / len(self.test_images)
