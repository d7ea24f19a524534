"""PyTorch as a worker of Gradus' benchmarks: commands on standard input, an answer a line on standard output.

    torch_worker.py eager|compile|cudnn [PRECISION]

eager is PyTorch as it is, compile the same with its compiler, cudnn the same with attention by cuDNN alone.

    about                         versions and device
    kernel CACHE NAME SIZE... TYPE   prepares a kernel; its operands are rotated beyond CACHE bytes
    repeat N                      the seconds that N calls of it took
    settings WORKLOAD THREADS     the settings, separated by blanks
    open WORKLOAD THREADS SETTING about the engine
    load FILE                     loaded
    losses N                      the losses of N steps without dropout
    run N                         the seconds that N steps with dropout took
    memory                        the bytes of the device's memory that were in use at most
    recipe FILE EPOCHS BATCH WIDTH...   reads the images of recipe.py
    train SEED                    the seconds that a run of the recipe took, and its share of right answers

PRECISION (float32, tf32, bf16) is that of training steps and recipes. An answer that begins with "error" says what went wrong. The end of
the input ends the process. GRADUS_TORCH_DEVICE names another device than cuda, to try this without a GPU.
"""

import os
import sys
import traceback

try:
    import torch
except ImportError as missing:
    for _ in sys.stdin:
        print("error", missing, flush=True)
    sys.exit(1)

import products
from device import ON_GPU, about
from kernels import Kernel
from recipe import Recipe
from training import Training


class Worker:
    def __init__(self, compiled, precision):
        self.compiled = compiled
        self.precision = precision
        self.kernel = None
        self.training = None
        self.recipe = None

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
        if command == "recipe":
            widths = [int(w) for w in words[3:]]
            self.recipe = Recipe(words[0], float(words[1]), int(words[2]), widths, self.compiled, self.precision)
            return f"{about()}, {self.precision}"
        if command == "train":
            return " ".join(repr(v) for v in self.recipe.train(int(words[0])))
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
        if sys.argv[1] == "cudnn":
            products.cudnn_alone()
        serve(Worker(sys.argv[1] == "compile", sys.argv[2] if len(sys.argv) > 2 else "float32"))
