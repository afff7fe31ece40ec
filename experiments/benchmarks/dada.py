"""Benchmark of DADA's search step: against a plain training step of the same network on a batch of the same size.

    python -m nas.experiments.benchmarks.dada [--batch 128] [--side 28] [--channels 1] [--width 64] [--rounds 21]
        [--threads 2] [--device cpu] [--json] [--out TXT]

A search step draws an augmentation for each image, applies it, makes the unrolled step and moves weights, distribution
and control variate. A plain step is one forward and backward pass and one of SGD, without augmentation. Each round has
one of both, in alternating order; the table has medians over the rounds, and the median of their ratios. The target is
a ratio of at most 4.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from nas.evaluators.augmentation.dada.search import Dada, DadaOptions, Images
from nas.search_spaces import Conv4
from nas.task import TaskShape

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole

CLASSES = 10
TARGET = 4.0
RATE = 0.1
WARM_UP = 2
Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        batch: Images of a training batch, and of a validation batch.
        channels: Channels of an image.
        side: Height and width in pixels.
        width: Channels of the network's convolutions.
        device: Device of the network and the images.
    """

    batch: int
    channels: int
    side: int
    width: int
    device: torch.device

    def images(self, seed: int) -> Images:
        """A batch of noise."""
        generator = torch.Generator().manual_seed(seed)
        shape = (self.batch, self.channels, self.side, self.side)
        x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        y = torch.randint(0, CLASSES, (self.batch,), generator=generator)
        return Images(x.to(self.device), y.to(self.device))

    def network(self) -> nn.Module:
        task = TaskShape((self.channels, self.side, self.side), CLASSES)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return Conv4(self.width).build(self.width, task).to(self.device)


def measure(setting: Setting, rounds: int) -> Seconds:
    """Seconds of each plain and each search step, by round."""
    train, validation = setting.images(1), setting.images(2)
    state = Dada(setting.network(), DadaOptions(batch=setting.batch))
    network = setting.network()
    weights = list(network.parameters())
    optimizer = torch.optim.SGD(weights, lr=RATE, momentum=0.9)

    def plain() -> None:
        loss = nn.functional.cross_entropy(network(train.x.float() / 255.0), train.y)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        optimizer.step()

    steps: dict[str, Callable[[], object]] = {
        "plain": plain,
        "search": lambda: state.step(train, validation, RATE),
    }
    seconds: Seconds = {name: [] for name in steps}
    for number in range(WARM_UP + rounds):
        for name in sorted(steps, reverse=number % 2 == 1):
            measured = _timed(steps[name], setting.device)
            if number >= WARM_UP:
                seconds[name].append(measured)
    return seconds


def _timed(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def ratios(seconds: Seconds) -> list[float]:
    """Seconds of the search step over those of the plain step, by round."""
    return [search / plain for search, plain in zip(seconds["search"], seconds["plain"], strict=True)]


def _table(seconds: Seconds) -> list[str]:
    each = sorted(ratios(seconds))
    low, high = each[len(each) // 4], each[(3 * len(each)) // 4]
    rows = [f"{name + ' step':12}  {statistics.median(row) * 1e3:10.2f} ms" for name, row in seconds.items()]
    ratio = statistics.median(each)
    verdict = "reached" if ratio <= TARGET else "missed"
    return [
        *rows,
        f"{'ratio':12}  {ratio:10.2f}     (middle half {low:.2f} – {high:.2f}; target {TARGET:g}: {verdict})",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="dada", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch", type=whole(2), default=128)
    parser.add_argument("--side", type=whole(1), default=28)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--width", type=whole(1), default=64)
    parser.add_argument("--rounds", type=whole(1), default=21)
    parser.add_argument("--threads", type=whole(1), help="threads of torch; its own choice if not given")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    setting = Setting(options.batch, options.channels, options.side, options.width, torch.device(options.device))
    with explained("dada"):
        seconds = measure(setting, options.rounds)
    where, threads = machine(), torch.get_num_threads()
    title = (
        f"conv4 of width {setting.width}, batches of {setting.batch} images {setting.channels} × {setting.side} × "
        f"{setting.side} on {options.device}, {threads} threads, medians of {options.rounds} rounds"
    )
    table = "\n".join([machine_line(where), title, *_table(seconds)])
    document = {"machine": where, "title": title, "seconds": seconds, "ratio": statistics.median(ratios(seconds))}
    print_benchmark(options, table, document)


if __name__ == "__main__":
    main()
