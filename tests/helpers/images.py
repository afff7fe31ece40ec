"""Small folders of generated images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def noise(key: int, shape: tuple[int, ...] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(key).integers(0, 256, shape, dtype=np.uint8)


def write_classes(
    folder: Path, names: Sequence[str], *, images: int = 4, shape: tuple[int, ...] = (8, 8), suffix: str = ".png"
) -> Path:
    """A folder of class folders of noise images (height, width) or (height, width, 3), all different."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for image in range(images):
            Image.fromarray(noise(1000 * number + image, shape)).save(folder / name / f"{image:03d}{suffix}")
    return folder
