"""PyTorch in one process. A step consists of zero_grad, forward, backward and Adadelta. Arguments: batch, threads"""

import sys

import torch

from lines import serve
from torch_model import Stepper, build

batch, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
stepper = Stepper(build(), batch)
stepper.run(10)
serve({"torch": torch.__version__}, stepper.run)
