"""Benchmark of a folder of images: seconds and memory of the first reading and of a start from the cache.

    python -m nas.experiments.benchmarks.image_folder [--images 10000] [--side 64] [--json] [--out TXT]

The images are PNG files of noise in 100 classes, in a temporary folder, and each reading has a process of its own. The
seconds are those of listing and reading, without Python's start. The memory is the growth of the process's peak from
before the reading, as a multiple of the tensor's size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole

CLASSES = 100
READING = """
import json, resource, sys, time
import torch
from nas.data.image_folders import list_classes
from nas.data.image_set import ReadingOptions, read_set
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, started = peak(), time.perf_counter()
images = read_set(list_classes(sys.argv[1]), ReadingOptions(max_memory_gb=64.0)).images
images.numpy().max()  # each page is in memory
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "memory": (peak() - before) / images.nbytes, "bytes": images.nbytes}))
"""


def write_folder(folder: Path, images: int, side: int) -> None:
    """Writes colour images of noise in CLASSES class folders."""
    rng = np.random.default_rng(0)
    for number in range(images):
        file = folder / f"class{number % CLASSES:03d}" / f"{number:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file, compress_level=1)


def measure(images: int, side: int) -> dict[str, dict[str, float]]:
    """Seconds, memory and bytes of the first reading and of the second, which is from the cache."""
    with tempfile.TemporaryDirectory() as work:
        write_folder(Path(work, "images"), images, side)
        environment = {**os.environ, "NAS_RUNS": str(Path(work, "runs"))}
        command = [sys.executable, "-c", READING, str(Path(work, "images"))]
        results = {}
        for reading in ("first", "second"):
            ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            results[reading] = dict(json.loads(ended.stdout))
        return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="image_folder", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=whole(CLASSES), default=10_000)
    parser.add_argument("--side", type=whole(1), default=64)
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("image_folder"):
        results = measure(options.images, options.side)
    where = machine()
    table = "\n".join(
        [
            machine_line(where),
            f"{options.images:,} images of 3 × {options.side} × {options.side}",
            *(
                f"{name:6} reading {result['seconds']:7.2f} s, {result['memory']:5.2f} × the tensor of "
                f"{result['bytes'] / 2**20:,.0f} MiB"
                for name, result in results.items()
            ),
        ]
    )
    print_benchmark(options, table, {"machine": where, "images": options.images, "side": options.side, **results})


if __name__ == "__main__":
    main()
