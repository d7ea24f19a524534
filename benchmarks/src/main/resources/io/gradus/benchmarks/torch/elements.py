"""Sums, tables, an optimizer and what is done to every element: each function gives operands and what is called with them."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from device import ON_GPU, labels, randn


def sum_of(dtype, rows, cols, of_rows):
    return (randn(rows, cols, dtype=dtype),), lambda x: x.sum(1 if of_rows else 0)


def embedding(dtype, vocabulary, dim, count):
    return (randn(vocabulary, dim, dtype=dtype), labels(count, vocabulary)), lambda w, i: F.embedding(i, w)


def adamw(dtype, n):
    parameter = nn.Parameter(randn(n, dtype=dtype))
    parameter.grad = randn(n, dtype=dtype)
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, fused=True, capturable=ON_GPU)
    return (parameter, parameter.grad, optimizer), lambda p, g, o: o.step()


def on_elements(function):
    return lambda dtype, n: ((randn(n, dtype=dtype),), function)


def add(dtype, n):
    return (randn(n, dtype=dtype), randn(n, dtype=dtype)), torch.add


def add_a_row(dtype, n):
    return (randn(n // 64, 64, dtype=dtype), randn(64, dtype=dtype)), torch.add


def transpose(dtype, n):
    return (randn(64, n // 64, dtype=dtype),), lambda x: x.t().contiguous()
