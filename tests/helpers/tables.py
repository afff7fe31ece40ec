"""Tables of made-up data, written as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FEATURES = ("width", "height", "weight")


def class_rows(classes: int = 18, examples: int = 8, seed: int = 0) -> list[list[str]]:
    """Rows of numbers and then the class, from blobs around random centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, len(FEATURES))) * 3
    return [
        [*(f"{value:.5f}" for value in centres[number] + rng.normal(size=len(FEATURES))), f"kind{number:02}"]
        for number in range(classes)
        for _ in range(examples)
    ]


def grouped_rows(groups: int = 12, examples: int = 12, seed: int = 0) -> list[list[str]]:
    """Rows of a site, two classes with a mean of the site's own, and a target that is linear with its own slope."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in range(groups):
        centre, slope = rng.normal(), rng.uniform(1, 3)
        for example in range(examples):
            label = example % 2
            x = centre + label + rng.normal() * 0.3
            state, dose = "ill" if label else "well", slope * x + 100
            rows.append([f"site{group:02}", f"{x:.6f}", f"{rng.normal():.6f}", state, f"{dose:.6f}"])
    return rows


GROUPED_HEADER = ["site", "a", "b", "state", "dose"]


def write(path: Path, rows: list[list[str]], header: list[str] | None = None, separator: str = ",") -> Path:
    lines = [header, *rows] if header else rows
    path.write_text("".join(separator.join(cells) + "\n" for cells in lines), "utf-8")
    return path


def classes_file(folder: Path, **options: int) -> Path:
    return write(folder / "classes.csv", class_rows(**options), [*FEATURES, "kind"])


def grouped_file(folder: Path, **options: int) -> Path:
    return write(folder / "grouped.csv", grouped_rows(**options), GROUPED_HEADER)


def series_rows(groups: int = 6, classes: int = 3, examples: int = 5, seed: int = 0) -> list[list[str]]:
    """Rows of one value each, of series with two channels of unequal length."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in range(groups):
        for number in range(classes * examples):
            label, name = number % classes, f"s{group}-{number}"
            for channel, length in (("left", rng.integers(6, 9)), ("right", rng.integers(10, 14))):
                for time in range(length):
                    value = np.sin((label + 1) * time) + rng.normal() / 9 + (channel == "right") * time
                    rows.append([name, channel, str(time), f"{value:.5f}", f"kind{label}", f"machine{group}"])
    return rows


SERIES_HEADER = ["series", "channel", "time", "value", "label", "group"]


def series_file(folder: Path, **options: int) -> Path:
    return write(folder / "series.csv", series_rows(**options), SERIES_HEADER)
