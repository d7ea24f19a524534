"""The device that PyTorch computes on, tensors there, and its clock."""

import os
import time

import torch

DEVICE = torch.device(os.environ.get("GRADUS_TORCH_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"


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


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, device=DEVICE).to(dtype)


def image(n, c, h, w, dtype):
    return randn(n, c, h, w, dtype=dtype).contiguous(memory_format=torch.channels_last)


def labels(n, classes):
    return torch.randint(classes, (n,), device=DEVICE)
