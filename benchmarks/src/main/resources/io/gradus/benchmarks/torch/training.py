"""Training steps of a network."""

import math
import struct

import torch
import torch.nn as nn
import torch.nn.functional as F

from device import DEVICE, Moment, allow_tf32
from networks import network


def read_arrays(path):
    """Java's DataOutputStream: big-endian, names in its modified UTF-8."""
    arrays = {}
    with open(path, "rb") as file:
        (count,) = struct.unpack(">i", file.read(4))
        for _ in range(count):
            (length,) = struct.unpack(">H", file.read(2))
            name = file.read(length).decode()
            (rank,) = struct.unpack(">i", file.read(4))
            dims = struct.unpack(f">{rank}q", file.read(8 * rank))
            data = torch.frombuffer(bytearray(file.read(4 * math.prod(dims))), dtype=torch.uint8)
            arrays[name] = data.view(-1, 4).flip(1).contiguous().view(torch.float32).view(dims)
    return arrays


class Training:
    def __init__(self, workload, setting, compiled, precision):
        self.workload = workload
        self.setting = setting
        self.compiled = compiled
        self.half = precision == "bf16"
        allow_tf32(precision == "tf32")

    def load(self, path):
        state = read_arrays(path)
        self.x, self.y = state.pop("x").to(DEVICE), state.pop("y").long().flatten().to(DEVICE)
        if self.x.dim() == 4:
            # The memory is NHWC, which PyTorch calls channels-last.
            self.x = self.x.permute(0, 3, 1, 2)
            state = {name: v.permute(0, 3, 1, 2) if v.dim() == 4 else v for name, v in state.items()}
        else:
            self.x = self.x.long()
        net = network(self.workload, self.x, state)
        with torch.no_grad():
            own = net.state_dict()
            for name, value in state.items():
                own[name].copy_(value)
        self.net = net.to(DEVICE, memory_format=torch.channels_last).train()
        self.model = torch.compile(self.net, mode=self.setting) if self.compiled else self.net
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def step(self, dropout):
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.train(dropout)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.half):
            loss = F.cross_entropy(self.model(self.x), self.y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def loss(self):
        return self.step(False).item()

    def run(self, steps):
        begin = Moment()
        for _ in range(steps):
            loss = self.step(True)
        loss.item()
        return begin.seconds()
