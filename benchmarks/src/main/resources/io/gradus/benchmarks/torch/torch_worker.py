"""PyTorch as a worker of Gradus' benchmarks: commands on standard input, an answer a line on standard output.

    torch_worker.py eager|compile [PRECISION]

    about                         versions and device
    kernel CACHE NAME SIZE... TYPE   prepares a kernel; its operands are rotated beyond CACHE bytes
    repeat N                      the seconds that N calls of it took
    settings WORKLOAD THREADS     the settings, separated by blanks
    open WORKLOAD THREADS SETTING about the engine
    load FILE                     loaded
    losses N                      the losses of N steps without dropout
    run N                         the seconds that N steps with dropout took
    memory                        the bytes of the device's memory that were in use at most

PRECISION (float32, tf32, bf16) is that of training steps. An answer that begins with "error" says what went wrong. The end of
the input ends the process. GRADUS_TORCH_DEVICE names another device than cuda, to try this without a GPU.
"""

import math
import os
import struct
import sys
import time
import traceback

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as missing:
    for _ in sys.stdin:
        print("error", missing, flush=True)
    sys.exit(1)

aten = torch.ops.aten
DEVICE = torch.device(os.environ.get("GRADUS_TORCH_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
RECORDED = 24  # calls of one launch, as on the other side
MOST_SETS = 64
EPS = 1e-5


def about():
    if ON_GPU and not torch.cuda.is_available():
        raise RuntimeError("torch sees no CUDA device")
    device = torch.cuda.get_device_name() if ON_GPU else "cpu"
    cudnn = torch.backends.cudnn.version() if ON_GPU else None
    return f"PyTorch {torch.__version__}, cuDNN {cudnn}, {device}"


def synchronize():
    if ON_GPU:
        torch.cuda.synchronize()


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


# ---- kernels: each gets its sizes as text and the type, and gives operands and the function that is called with them


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, device=DEVICE).to(dtype)


def image(n, c, h, w, dtype):
    return randn(n, c, h, w, dtype=dtype).contiguous(memory_format=torch.channels_last)


def labels(n, classes):
    return torch.randint(classes, (n,), device=DEVICE)


def matmul(dtype, letters, m, n, k):
    a = randn(k, m, dtype=dtype).t() if letters[0] == "T" else randn(m, k, dtype=dtype)
    b = randn(n, k, dtype=dtype).t() if letters[1] == "T" else randn(k, n, dtype=dtype)
    return (a, b), torch.mm


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


def scaled_attention(q, k, v, causal):
    if not ON_GPU:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(order, set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def attention(dtype, batch, heads, length, dim, causal):
    operands = [randn(batch, heads, length, dim, dtype=dtype) for _ in range(3)]
    return operands, lambda q, k, v: scaled_attention(q, k, v, causal == "true")


def attention_gradient(dtype, batch, heads, length, dim, causal):
    operands = [randn(batch, heads, length, dim, dtype=dtype).requires_grad_() for _ in range(3)]
    y = scaled_attention(*operands, causal == "true")
    g = randn(batch, heads, length, dim, dtype=dtype)
    return (y, g, *operands), lambda y, g, *x: torch.autograd.grad(y, x, g, retain_graph=True)


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


KERNELS = {
    "matmul": matmul,
    "linear": linear,
    "conv": conv,
    "max_pool": max_pool,
    "max_pool_gradient": max_pool_gradient,
    "average_pool": average_pool,
    "batch_norm": batch_norm,
    "batch_norm_gradient": batch_norm_gradient,
    "layer_norm": layer_norm,
    "layer_norm_gradient": layer_norm_gradient,
    "softmax": softmax,
    "softmax_gradient": softmax_gradient,
    "cross_entropy": cross_entropy,
    "cross_entropy_gradient": cross_entropy_gradient,
    "cross_entropy_both": cross_entropy_both,
    "attention": attention,
    "attention_gradient": attention_gradient,
    "sum": sum_of,
    "embedding": embedding,
    "adamw": adamw,
    "relu": on_elements(F.relu),
    "exp": on_elements(torch.exp),
    "gelu": on_elements(F.gelu),
    "add": add,
    "add_a_row": add_a_row,
    "transpose": transpose,
    "cast_to_bfloat16": on_elements(lambda x: x.to(torch.bfloat16)),
    "cast_to_float32": on_elements(lambda x: x.to(torch.float32)),
    "dropout": on_elements(lambda x: F.dropout(x, 0.5, True)),
    "normal": on_elements(lambda x: x.normal_()),
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


class Moment:
    """By the device's events on a GPU."""

    def __init__(self):
        synchronize()
        self.began = time.perf_counter()
        if ON_GPU:
            self.event = torch.cuda.Event(enable_timing=True)
            self.event.record()

    def seconds(self):
        if not ON_GPU:
            return time.perf_counter() - self.began
        end = torch.cuda.Event(enable_timing=True)
        end.record()
        end.synchronize()
        return self.event.elapsed_time(end) * 1e-3


# ---- training steps: networks with the names of Gradus' parameters


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


class Worker:
    def __init__(self, compiled, precision):
        self.compiled = compiled
        self.precision = precision
        self.kernel = None
        self.training = None

    def answer(self, command, words):
        if command == "about":
            return about()
        if command == "kernel":
            self.kernel = None
            if ON_GPU:
                torch.cuda.empty_cache()
            if self.compiled:
                torch.compiler.reset()
            self.kernel = Kernel(int(words[0]), words[1], words[2:-1], words[-1], self.compiled)
            return "ready"
        if command == "repeat":
            return repr(self.kernel.repeat(int(words[0])))
        if command == "settings":
            # To compile large networks twice would take longer than all that is measured.
            small = words[0] in ("mlp", "cnn", "resnet20", "gpt")
            return ("default reduce-overhead" if small else "default") if self.compiled else "eager"
        if command == "open":
            self.training = Training(words[0], words[2], self.compiled, self.precision)
            return f"{about()}, {words[2]}, {self.precision}"
        if command == "load":
            self.training.load(words[0])
            return "loaded"
        if command == "losses":
            return " ".join(repr(self.training.loss()) for _ in range(int(words[0])))
        if command == "run":
            return repr(self.training.run(int(words[0])))
        if command == "memory":
            return str(torch.cuda.max_memory_allocated() if ON_GPU else 0)
        raise ValueError(f"unknown command {command}")


def serve(worker):
    # What libraries print goes to standard error.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            answer = worker.answer(command, words)
        except Exception as e:
            traceback.print_exc()
            answer = "error " + (f"{type(e).__name__}: {e}".splitlines() or [""])[0]
        print(answer, file=out, flush=True)


if __name__ == "__main__":
    torch.backends.cudnn.benchmark = True
    stream = torch.cuda.Stream() if ON_GPU and torch.cuda.is_available() else None
    # One stream for operands, calls and recording: what autograd does follows the stream of the forward pass.
    with torch.cuda.stream(stream):
        serve(Worker(sys.argv[1] == "compile", sys.argv[2] if len(sys.argv) > 2 else "float32"))
