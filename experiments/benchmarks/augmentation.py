"""Benchmark of the augmentation operations: a batch at once against Pillow image by image.

    python -m nas.experiments.benchmarks.augmentation [--images 4096] [--side 28] [--channels 1] [--rounds 7]
        [--threads 2] [--device cpu] [--json] [--out TXT]

Each round measures Pillow's loop (from an array, the operation, into the array of results) and the batch, one after the
other, for each operation; the table gives medians over the rounds. Magnitudes are uniform, an own one for each image.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor

from nas.evaluators.augmentation.operations import MOST_DRAWS, OPERATIONS, apply

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole

Picture = Image.Image
PillowOperation = Callable[[Picture, float, tuple[float, float]], Picture]
Seconds = dict[str, dict[str, float]]


def affine(image: Picture, data: tuple[float, ...]) -> Picture:
    return image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.NEAREST)


def cutout(image: Picture, value: float, centre: tuple[float, float]) -> Picture:
    """Fast AutoAugment's Cutout (Lim et al., 2019), with 0 in the square."""
    if value <= 0:
        return image
    width, height = image.size
    side = value * width
    left = int(max(0, centre[0] * width - side / 2))
    top = int(max(0, centre[1] * height - side / 2))
    image = image.copy()
    corners = (left, top, min(width, left + side), min(height, top + side))
    ImageDraw.Draw(image).rectangle(corners, fill=0 if image.mode == "L" else (0, 0, 0))
    return image


PILLOW: Mapping[str, PillowOperation] = {
    "ShearX": lambda image, value, centre: affine(image, (1, value, 0, 0, 1, 0)),
    "ShearY": lambda image, value, centre: affine(image, (1, 0, 0, value, 1, 0)),
    "TranslateX": lambda image, value, centre: affine(image, (1, 0, value * image.width, 0, 1, 0)),
    "TranslateY": lambda image, value, centre: affine(image, (1, 0, 0, 0, 1, value * image.height)),
    "Rotate": lambda image, value, centre: image.rotate(value),
    "AutoContrast": lambda image, value, centre: ImageOps.autocontrast(image),
    "Invert": lambda image, value, centre: ImageOps.invert(image),
    "Equalize": lambda image, value, centre: ImageOps.equalize(image),
    "Solarize": lambda image, value, centre: ImageOps.solarize(image, value),  # type: ignore[arg-type]  # any number
    "Posterize": lambda image, value, centre: ImageOps.posterize(image, int(value)),
    "Contrast": lambda image, value, centre: ImageEnhance.Contrast(image).enhance(value),
    "Color": lambda image, value, centre: ImageEnhance.Color(image).enhance(value),
    "Brightness": lambda image, value, centre: ImageEnhance.Brightness(image).enhance(value),
    "Sharpness": lambda image, value, centre: ImageEnhance.Sharpness(image).enhance(value),
    "Cutout": cutout,
}
"""Pillow's operations: an image, the operation's value, and two uniform numbers for the centre."""


def pillow_apply(name: str, images: NDArray[np.uint8], values: Sequence[float], uniforms: Tensor) -> NDArray[np.uint8]:
    """Images (n, height, width) or (n, height, width, 3) changed by Pillow, one after the other."""
    operation, changed = PILLOW[name], np.empty_like(images)
    centres: list[list[float]] = uniforms.tolist()
    for number, (value, centre) in enumerate(zip(values, centres, strict=True)):
        image = Image.fromarray(images[number])
        changed[number] = np.asarray(operation(image, value, (centre[0], centre[1])))
    return changed


def signed_values(name: str, magnitudes: Tensor, uniforms: Tensor) -> list[float]:
    """The values that `apply` uses for these magnitudes and uniform numbers."""
    operation = OPERATIONS[name]
    values = operation.low + magnitudes.double() * (operation.high - operation.low)
    if operation.mirrored:
        values = torch.where(uniforms[:, 0] < 0.5, -values, values)
    return list(values.tolist())


def measure(shape: tuple[int, int, int, int], rounds: int, device: torch.device) -> Seconds:
    """Median seconds of Pillow and of the batch for each operation."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    magnitudes = torch.rand(shape[0], generator=generator)
    uniforms = torch.rand(shape[0], MOST_DRAWS, generator=generator)
    arrays = images[:, 0].numpy() if shape[1] == 1 else images.permute(0, 2, 3, 1).contiguous().numpy()
    on_device = [tensor.to(device) for tensor in (images, magnitudes, uniforms)]

    def batch(name: str) -> None:
        apply(name, *on_device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    results: Seconds = {}
    for name in OPERATIONS:
        values = signed_values(name, magnitudes, uniforms)
        batch(name)
        seconds: dict[str, list[float]] = {"pillow": [], "batch": []}
        for _ in range(rounds):
            seconds["pillow"].append(_timed(lambda: pillow_apply(name, arrays, values, uniforms)))  # noqa: B023
            seconds["batch"].append(_timed(lambda: batch(name)))  # noqa: B023
        results[name] = {key: statistics.median(measured) for key, measured in seconds.items()}
    results["all together"] = {key: sum(row[key] for row in results.values()) for key in ("pillow", "batch")}
    return results


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _table(results: Seconds) -> list[str]:
    head = f"{'operation':12}  {'Pillow, ms':>10}  {'batch, ms':>10}  {'ratio':>7}"
    rows = (
        f"{name:12}  {row['pillow'] * 1e3:10.2f}  {row['batch'] * 1e3:10.2f}  {row['pillow'] / row['batch']:7.1f}"
        for name, row in results.items()
    )
    return [head, *rows]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="augmentation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=whole(1), default=4096)
    parser.add_argument("--side", type=whole(1), default=28)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--rounds", type=whole(1), default=7)
    parser.add_argument("--threads", type=whole(1), help="threads of torch; its own choice if not given")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    shape = (options.images, options.channels, options.side, options.side)
    with explained("augmentation"):
        results = measure(shape, options.rounds, torch.device(options.device))
    where = machine()
    threads = torch.get_num_threads()
    title = f"{options.images:,} images of {' × '.join(map(str, shape[1:]))} on {options.device}, {threads} threads"
    table = "\n".join([machine_line(where), title, *_table(results)])
    document = {"machine": where, "device": options.device, "threads": threads, "shape": shape, "seconds": results}
    print_benchmark(options, table, document)


if __name__ == "__main__":
    main()
