"""PyTorch's DistributedDataParallel over gloo, processes of one machine. Rank 0 starts the others, forwards
"run N" to them, and measures. Arguments: batch (of all processes together), threads (of each process), processes"""

import datetime
import os
import subprocess
import sys
import tempfile

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lines import serve
from torch_model import Stepper, build

batch, threads, processes = (int(text) for text in sys.argv[1:4])
rank = int(sys.argv[4]) if len(sys.argv) > 4 else 0
if rank == 0:
    meeting = os.path.join(tempfile.mkdtemp(prefix="gradcast-ddp-"), "store")
    # The machine's own host name often cannot be resolved, so gloo is given the loopback interface.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    for other in range(1, processes):
        subprocess.Popen(
            [sys.executable, *sys.argv[:4], str(other), meeting], stdin=subprocess.DEVNULL, stdout=sys.stderr
        )
else:
    meeting = sys.argv[5]
torch.set_num_threads(threads)
dist.init_process_group(
    "gloo",
    init_method=f"file://{meeting}",
    rank=rank,
    world_size=processes,
    timeout=datetime.timedelta(hours=1),
)
stepper = Stepper(DistributedDataParallel(build()), batch // processes)


def command(count=0):
    """Broadcasts from rank 0 the number of steps that all ranks train next; 0 ends them."""
    message = torch.tensor([count])
    dist.broadcast(message, 0)
    return int(message)


if rank == 0:
    run = lambda count: stepper.run(command(count))
    run(10)
    serve({"torch": torch.__version__}, run)
    command(0)
else:
    while (count := command()) > 0:
        stepper.run(count)
dist.destroy_process_group()
