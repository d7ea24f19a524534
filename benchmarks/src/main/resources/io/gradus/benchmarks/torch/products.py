"""Products of matrices, convolutions and attention: each function gives operands and what is called with them."""

import torch
import torch.nn.functional as F

from device import DEVICE, ON_GPU, image, randn

aten = torch.ops.aten


def matmul(dtype, letters, m, n, k):
    a = randn(k, m, dtype=dtype).t() if letters[0] == "T" else randn(m, k, dtype=dtype)
    b = randn(n, k, dtype=dtype).t() if letters[1] == "T" else randn(k, n, dtype=dtype)
    return (a, b), torch.mm


def batched_matmul(dtype, letters, batch, m, n, k):
    a = randn(batch, k, m, dtype=dtype).mT if letters[0] == "T" else randn(batch, m, k, dtype=dtype)
    b = randn(batch, n, k, dtype=dtype).mT if letters[1] == "T" else randn(batch, k, n, dtype=dtype)
    return (a, b), torch.bmm


def linear(dtype, rows, outputs, inputs):
    operands = randn(rows, inputs, dtype=dtype), randn(outputs, inputs, dtype=dtype), randn(outputs, dtype=dtype)
    return operands, lambda x, w, b: F.relu(F.linear(x, w, b))


def conv(dtype, kind, n, side, c, o, kernel, stride):
    pad = kernel // 2
    out = (side + 2 * pad - kernel) // stride + 1
    x, g = image(n, c, side, side, dtype), image(n, o, out, out, dtype)
    w = image(o, c, kernel, kernel, dtype)
    if kind == "forward":
        return (x, w), lambda x, w: F.conv2d(x, w, None, stride, pad)
    mask = [kind == "input", kind == "weight", False]

    def gradient(g, x, w):
        return aten.convolution_backward(g, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask)

    return (g, x, w), gradient


def norm_conv(dtype, n, side, c, o, kernel, stride):
    pad = kernel // 2
    x, w = image(n, c, side, side, dtype), image(o, c, kernel, kernel, dtype)
    mean, var, weight, bias = (torch.rand(c, device=DEVICE) + 0.5 for _ in range(4))

    def both(x, w):
        return F.conv2d(F.relu(F.batch_norm(x, mean, var, weight, bias)), w, None, stride, pad)

    return (x, w), both


# Attention is the first's of these that can compute it.
BACKENDS = ["CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"]


def cudnn_alone():
    """Attention that cuDNN cannot compute is an error from now on."""
    del BACKENDS[1:]


def scaled_attention(q, k, v, causal):
    if not ON_GPU:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([getattr(SDPBackend, name) for name in BACKENDS], set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def attention(dtype, batch, heads, length, dim, causal):
    operands = [randn(batch, heads, length, dim, dtype=dtype) for _ in range(3)]
    return operands, lambda q, k, v: scaled_attention(q, k, v, causal == "true")


def attention_gradient(dtype, batch, heads, length, dim, causal):
    operands = [randn(batch, heads, length, dim, dtype=dtype).requires_grad_() for _ in range(3)]
    y = scaled_attention(*operands, causal == "true")
    g = randn(batch, heads, length, dim, dtype=dtype)
    return (y, g, *operands), lambda y, g, *x: torch.autograd.grad(y, x, g, retain_graph=True)
