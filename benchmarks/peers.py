"""The peers, written by us in PyTorch from their published descriptions.

P1: tuomaso/train_mnist_fast, its final recipe (https://github.com/tuomaso/train_mnist_fast).
P2: the MNIST example of PyTorch (https://github.com/pytorch/examples/tree/main/mnist).
P3: rmakarovv/triple_mnist_with_cnn (https://github.com/rmakarovv/triple_mnist_with_cnn).

All of them train on tensors in memory, so that no data loader slows them. The order of the images
is drawn anew in each epoch, and each batch is cut out and scaled as it is needed.
"""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import nn
from torch.nn import functional as F

from benchmarks.fit import THREADS
from benchmarks.report import Report
from mnist3 import runtime

if TYPE_CHECKING:  # it brings JAX, which a script of PyTorch does not import
    from mnist3.data.splits import Split

torch.set_num_threads(THREADS)

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_EVALUATION_BATCH = 500
_P3_TARGET = 0.90
_P3_EPOCHS = 10
_P3_EVALUATIONS = 4  # in an epoch


class Scale(NamedTuple):
    """How ink from 0 to 1 is normalised: less the mean, over the deviation."""

    mean: float
    deviation: float


MNIST_SCALE = Scale(0.1307, 0.3081)
NO_SCALE = Scale(0.0, 1.0)


def p1_model() -> nn.Module:
    """Returns P1's network: images [n, 1, 28, 28] to logits [n, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def p2_model() -> nn.Module:
    """Returns P2's network: images [n, 1, 28, 28] to logits [n, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def p3_model() -> nn.Module:
    """Returns P3's network: images [n, 1, 84, 84] to logits [n, 30], ten a position."""
    layers: list[nn.Module] = []
    for before, after in ((1, 24), (24, 24), (24, 12)):
        layers += [
            nn.Conv2d(before, after, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(after),
        ]
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(12 * 10 * 10, 64),
        nn.Dropout(0.2),
        nn.Linear(64, 30),
    )


class Trainer:
    """A model in training on tensors in memory.

    Attributes:
        model: from float32 images [n, 1, height, width] to logits [n, 10 K].
        optimizer: of its parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        create_optimizer: Callable[..., torch.optim.Optimizer],
        train: "Split",
        scale: Scale,
        channels_last: bool,
        device: str = "cpu",
    ):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)
        self.optimizer = create_optimizer(self.model.parameters())
        self._images = torch.from_numpy(train.images).to(device)
        self._digits = torch.from_numpy(train.labels).long().to(device)
        self._scale = scale
        self._device = device

    def order(self) -> Integer[torch.Tensor, "n"]:
        """Returns the training images' indices, shuffled."""
        return torch.randperm(len(self._images), device=self._device)

    def step(self, rows: Integer[torch.Tensor, "batch"]) -> None:
        """Takes a step on some of the training images.

        The loss is the mean cross entropy, summed over the positions.
        """
        self.optimizer.zero_grad()
        logits = self.model(self._as_input(self._images[rows])).unflatten(1, (-1, 10))
        digits = self._digits[rows]
        loss = F.cross_entropy(logits.mT, digits) * digits.shape[1]
        loss.backward()
        self.optimizer.step()

    def evaluate(self, held_out: "Split") -> float:
        """Returns the share of images with every digit right."""
        self.model.eval()
        right = 0
        with torch.inference_mode():
            for start in range(0, len(held_out.images), _EVALUATION_BATCH):
                stop = start + _EVALUATION_BATCH
                images = torch.from_numpy(held_out.images[start:stop]).to(self._device)
                digits = self.model(self._as_input(images)).unflatten(1, (-1, 10)).argmax(-1)
                wanted = torch.from_numpy(held_out.labels[start:stop]).to(self._device)
                right += (digits == wanted).all(1).sum().item()
        self.model.train()
        return right / len(held_out.images)

    def _as_input(
        self, images: UInt8[torch.Tensor, "n height width"]
    ) -> Float[torch.Tensor, "n 1 height width"]:
        mean, deviation = self._scale
        ink = images.unsqueeze(1).to(torch.float32)
        return ink.sub_(255 * mean).div_(255 * deviation)


def fit_p1(
    train: "Split",
    test: "Split",
    seed: int,
    report: Report,
    channels_last: bool,
    device: str = "cpu",
) -> nn.Module:
    """Trains P1 for its one epoch, on `cpu` or `cuda`, and returns the model.

    Adam's fused form computes the same in one pass; the published code uses the plain one.
    """
    torch.manual_seed(seed)
    report.start()
    trainer = Trainer(
        p1_model(),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01, betas=(0.7, 0.9), fused=True),
        train,
        MNIST_SCALE,
        channels_last,
        device,
    )
    batches = trainer.order().split(256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        trainer.optimizer, max_lr=0.01, total_steps=len(batches), cycle_momentum=False
    )
    for rows in batches:
        trainer.step(rows)
        schedule.step()
    if device == "cuda":
        torch.cuda.synchronize()
    report.stop()
    report.add(trainer.evaluate(test))
    return trainer.model


def fit_p2(train: "Split", test: "Split", seed: int, report: Report, epochs: int = 14) -> nn.Module:
    """Trains P2, evaluated after each epoch as published, and returns the model."""
    torch.manual_seed(seed)
    report.start()
    trainer = Trainer(
        p2_model(),
        lambda parameters: torch.optim.Adadelta(parameters, lr=1.0),
        train,
        MNIST_SCALE,
        channels_last=True,
    )
    schedule = torch.optim.lr_scheduler.StepLR(trainer.optimizer, step_size=1, gamma=0.7)
    for _ in range(epochs):
        for rows in trainer.order().split(64):
            trainer.step(rows)
        schedule.step()
        report.stop()
        report.add(trainer.evaluate(test))
        report.start()
    report.stop()
    return trainer.model


def fit_p3(
    train: "Split", val: "Split", seed: int, report: Report, epochs: int = _P3_EPOCHS
) -> nn.Module:
    """Trains P3 until val exact match is 0.90, or for its ten epochs, and returns the model."""
    torch.manual_seed(seed)
    report.start()
    trainer = Trainer(
        p3_model(),
        lambda parameters: torch.optim.Adam(parameters, lr=0.005, fused=True),
        train,
        NO_SCALE,
        channels_last=True,
    )
    for _ in range(epochs):
        batches = trainer.order().split(128)
        part = -(-len(batches) // _P3_EVALUATIONS)
        for start in range(0, len(batches), part):
            for rows in batches[start : start + part]:
                trainer.step(rows)
            report.stop()
            accuracy = trainer.evaluate(val)
            report.add(accuracy)
            if accuracy >= _P3_TARGET:
                return trainer.model
            report.start()
    report.stop()
    return trainer.model


def p1(data_dir: str, seed: int, report: Report) -> None:
    """Fits P1 as published, with the channels before height and width."""
    fit_p1(*_load_mnist(data_dir), seed, report, channels_last=False)


def p1_channels_last(data_dir: str, seed: int, report: Report) -> None:
    """Fits P1 with the channels last in memory, which oneDNN's convolutions prefer."""
    fit_p1(*_load_mnist(data_dir), seed, report, channels_last=True)


def p1_script(data_dir: str, seed: int, report: Report) -> None:
    """Runs `benchmarks/p1_script.py`, from start to prompt."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.p1_script", data_dir, str(seed), folder]
        report.start()
        subprocess.run(command, cwd=_ROOT, check=True)
        report.stop()
        report.add(float(pathlib.Path(folder, "accuracy.json").read_text()))


def p2(data_dir: str, seed: int, report: Report) -> None:
    """Fits P2, channels last."""
    fit_p2(*_load_mnist(data_dir), seed, report)


def p3(data_dir: str, seed: int, report: Report) -> None:
    """Fits P3, channels last."""
    from mnist3.data.splits import Split
    from mnist3.data.triple_mnist import load_triple_mnist

    splits = load_triple_mnist(data_dir, runtime.cache_dir()).splits
    train, val = (
        Split(np.array(splits[name].images), splits[name].labels) for name in ("train", "val")
    )
    fit_p3(train, val, seed, report)


def _load_mnist(data_dir: str) -> tuple["Split", "Split"]:
    from mnist3.data.sources import load_source
    from mnist3.data.splits import Split

    source = load_source("mnist", data_dir)
    images, labels = source.images, source.labels[:, None]
    first = len(images) - source.official_test
    return Split(images[:first], labels[:first]), Split(images[first:], labels[first:])
