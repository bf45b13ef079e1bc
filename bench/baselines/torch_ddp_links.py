"""PyTorch's DistributedDataParallel over gloo, one rank of several behind links of their own. Sleeps instead of computing:
forward and the backward pass of the last layers take `first_bucket_at` of the time, the layers before them the rest, so that
DDP can send its first bucket meanwhile. The parameters are those of the CNN of torch_model.py, and Adadelta is real. Rank 0
prints a JSON array of step times in milliseconds. Arguments: rank, ranks, address of rank 0, ms of computation,
first_bucket_at, steps"""

import json
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from torch_model import adadelta, build

rank, ranks, address = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
compute_s, first_bucket_at, steps = float(sys.argv[4]) / 1000, float(sys.argv[5]), int(sys.argv[6])
WARM_UP = 3


class SleepInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep((1 - first_bucket_at) * compute_s)
        return gradient


class Sleeper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.parameters_of = build()

    def forward(self, value):
        *first, kernel, bias, last, last_bias = self.parameters_of.parameters()
        for parameter in first:
            value = value + 1e-3 * parameter.sum()
        value = SleepInBackward.apply(value)
        for parameter in (kernel, bias, last, last_bias):
            value = value + 1e-3 * parameter.sum()
        return value


torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"tcp://{address}:29511", rank=rank, world_size=ranks)
model = DistributedDataParallel(Sleeper())
optimizer = adadelta(model)
times = []
for step in range(WARM_UP + steps):
    started = time.perf_counter()
    optimizer.zero_grad()
    output = model(torch.zeros(1))
    time.sleep(first_bucket_at * compute_s)
    output.sum().backward()
    optimizer.step()
    if step >= WARM_UP:
        times.append((time.perf_counter() - started) * 1000)
if rank == 0:
    print(json.dumps(times), flush=True)
dist.barrier()
dist.destroy_process_group()
