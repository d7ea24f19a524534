"""Pooling, norms, softmax and losses: each function gives operands and what is called with them."""

import math

import torch
import torch.nn.functional as F

from device import DEVICE, image, labels, randn

aten = torch.ops.aten
EPS = 1e-5


def max_pool(dtype, n, side, c):
    return (image(n, c, side, side, dtype),), lambda x: F.max_pool2d(x, 2, return_indices=True)


def max_pool_gradient(dtype, n, side, c):
    x = image(n, c, side, side, dtype)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    return (y, x, index), lambda g, x, i: aten.max_pool2d_with_indices_backward(g, x, [2, 2], [2, 2], [0, 0], [1, 1], False, i)


def average_pool(dtype, n, side, c):
    return (image(n, c, side, side, dtype),), lambda x: F.avg_pool2d(x, 2)


def as_images(rows, c, dtype):
    """Rows as pixels: of 128 square images where that is possible."""
    side = math.isqrt(rows // 128)
    return image(128, c, side, side, dtype) if 128 * side * side == rows else image(1, c, rows, 1, dtype)


def batch_norm(dtype, rows, c, activation):
    x, weight, bias = as_images(rows, c, dtype), torch.rand(c, device=DEVICE) + 0.5, randn(c)
    mean, variance = torch.zeros(c, device=DEVICE), torch.ones(c, device=DEVICE)

    def forward(x, weight, bias, mean, variance):
        y = F.batch_norm(x, mean, variance, weight, bias, True, 0.1, EPS)
        return F.relu(y) if activation == "RELU" else y

    return (x, weight, bias, mean, variance), forward


def batch_norm_gradient(dtype, rows, c):
    x, g, weight = as_images(rows, c, dtype), as_images(rows, c, dtype), torch.rand(c, device=DEVICE) + 0.5
    _, mean, inverse = aten.native_batch_norm(x, weight, weight, None, None, True, 0.1, EPS)

    def gradient(g, x, weight, mean, inverse):
        return aten.native_batch_norm_backward(g, x, weight, None, None, mean, inverse, True, EPS, [True] * 3)

    return (g, x, weight, mean, inverse), gradient


def layer_norm(dtype, rows, cols):
    operands = randn(rows, cols, dtype=dtype), randn(cols, dtype=dtype), randn(cols, dtype=dtype)
    return operands, lambda x, w, b: F.layer_norm(x, (cols,), w, b, EPS)


def layer_norm_gradient(dtype, rows, cols):
    (x, w, b), _ = layer_norm(dtype, rows, cols)
    _, mean, inverse = aten.native_layer_norm(x, [cols], w, b, EPS)

    def gradient(g, x, mean, inverse, w, b):
        return aten.native_layer_norm_backward(g, x, [cols], mean, inverse, w, b, [True] * 3)

    return (randn(rows, cols, dtype=dtype), x, mean, inverse, w, b), gradient


def softmax(dtype, rows, cols):
    return (randn(rows, cols, dtype=dtype),), lambda x: F.softmax(x, 1)


def softmax_gradient(dtype, rows, cols):
    y = F.softmax(randn(rows, cols, dtype=dtype), 1)
    return (randn(rows, cols, dtype=dtype), y), lambda g, y: aten._softmax_backward_data(g, y, 1, dtype)


def cross_entropy(dtype, rows, classes):
    operands = randn(rows, classes, dtype=dtype), labels(rows, classes)
    return operands, lambda x, t: F.cross_entropy(x, t, reduction="none")


def cross_entropy_gradient(dtype, rows, classes):
    logs = F.log_softmax(randn(rows, classes, dtype=dtype), 1)
    weight = torch.ones((), device=DEVICE, dtype=dtype)

    def gradient(g, logs, t, weight):
        return aten._log_softmax_backward_data(aten.nll_loss_backward(g, logs, t, None, 0, -100, weight), logs, 1, dtype)

    return (randn(rows, dtype=dtype), logs, labels(rows, classes), weight), gradient


def cross_entropy_both(dtype, rows, classes):
    def both(x, t):
        return torch.autograd.grad(F.cross_entropy(x, t), x)

    return (randn(rows, classes, dtype=dtype).requires_grad_(), labels(rows, classes)), both
