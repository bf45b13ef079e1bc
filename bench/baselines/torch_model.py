"""The CNN of Keras' MNIST example in PyTorch, with its data, its optimizer and its training step."""

import time

import torch
from torch import nn


def build(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(32 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def adadelta(model):
    return torch.optim.Adadelta(model.parameters(), lr=1.0, rho=0.95, eps=1e-8)


class Stepper:
    """Trains a model with Adadelta on random samples."""

    def __init__(self, model, batch):
        self.model = model.train()
        self.batch = batch
        self.optimizer = adadelta(model)
        self.loss = nn.CrossEntropyLoss()
        self.images = torch.rand(16 * batch, 1, 28, 28)
        self.labels = torch.randint(0, 10, (16 * batch,))
        self.taken = 0

    def step(self):
        start = self.taken % 16 * self.batch
        self.taken += 1
        images = self.images[start : start + self.batch]
        labels = self.labels[start : start + self.batch]
        self.optimizer.zero_grad()
        self.loss(self.model(images), labels).backward()
        self.optimizer.step()

    def run(self, count):
        """Trains steps and returns their milliseconds."""
        times = []
        for _ in range(count):
            started = time.perf_counter()
            self.step()
            times.append((time.perf_counter() - started) * 1000)
        return times
