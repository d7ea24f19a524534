"""The kernels by their names, and calls of them that are timed.

A kernel's function gets its type and sizes, and gives operands and the function that is called with them.
"""

import math
import sys

import torch
import torch.nn.functional as F

import elements
import layers
import products
from device import ON_GPU, Moment, allow_tf32, synchronize

TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RECORDED = 24  # calls of one launch, as on the other side
MOST_SETS = 64

KERNELS = {
    "matmul": products.matmul,
    "batched_matmul": products.batched_matmul,
    "linear": products.linear,
    "conv": products.conv,
    "norm_conv": products.norm_conv,
    "max_pool": layers.max_pool,
    "max_pool_gradient": layers.max_pool_gradient,
    "average_pool": layers.average_pool,
    "batch_norm": layers.batch_norm,
    "batch_norm_gradient": layers.batch_norm_gradient,
    "layer_norm": layers.layer_norm,
    "layer_norm_gradient": layers.layer_norm_gradient,
    "softmax": layers.softmax,
    "softmax_gradient": layers.softmax_gradient,
    "cross_entropy": layers.cross_entropy,
    "cross_entropy_gradient": layers.cross_entropy_gradient,
    "cross_entropy_both": layers.cross_entropy_both,
    "attention": products.attention,
    "attention_gradient": products.attention_gradient,
    "sum": elements.sum_of,
    "embedding": elements.embedding,
    "adamw": elements.adamw,
    "relu": elements.on_elements(F.relu),
    "exp": elements.on_elements(torch.exp),
    "gelu": elements.on_elements(F.gelu),
    "add": elements.add,
    "add_a_row": elements.add_a_row,
    "transpose": elements.transpose,
    "cast_to_bfloat16": elements.on_elements(lambda x: x.to(torch.bfloat16)),
    "cast_to_float32": elements.on_elements(lambda x: x.to(torch.float32)),
    "dropout": elements.on_elements(lambda x: F.dropout(x, 0.5, True)),
    "normal": elements.on_elements(lambda x: x.normal_()),
}


class Kernel:
    """Calls of a kernel that take turns among sets of operands, launched together where CUDA can record them."""

    def __init__(self, cache, name, sizes, kind, compiled):
        allow_tf32(kind == "tf32")
        sizes = [int(size) if size.isdigit() else size for size in sizes]
        operands, function = KERNELS[name](TYPES[kind], *sizes)
        self.function = torch.compile(function, dynamic=False) if compiled else function
        size = sum(x.nbytes for x in operands if isinstance(x, torch.Tensor))
        self.sets = [operands]
        for _ in range(min(MOST_SETS, math.ceil(3 * cache / size)) - 1):
            self.sets.append(KERNELS[name](TYPES[kind], *sizes)[0])
        self.graph = None
        for i in range(3):
            self.call(i)
        synchronize()
        if ON_GPU:
            self.record()

    def call(self, i):
        self.function(*self.sets[i % len(self.sets)])

    def record(self):
        self.recorded = max(len(self.sets), RECORDED)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                for i in range(self.recorded):
                    self.call(i)
            self.graph = graph
        except RuntimeError as e:
            print("not recorded:", e, file=sys.stderr)
            synchronize()

    def repeat(self, n):
        launches = n if self.graph is None else max(1, round(n / self.recorded))
        begin = Moment()
        for i in range(launches):
            if self.graph is None:
                self.call(i)
            else:
                self.graph.replay()
        seconds = begin.seconds()
        return seconds if self.graph is None else seconds * n / (launches * self.recorded)
