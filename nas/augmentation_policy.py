"""Augmentation policies as data: sub-policies of two operations, and their JSON form."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import DataError, nearest, shown
from .regular_files import read_json

OPERATIONS = (
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "AutoContrast",
    "Invert",
    "Equalize",
    "Solarize",
    "Posterize",
    "Contrast",
    "Color",
    "Brightness",
    "Sharpness",
    "Cutout",
)
"""The operations of DADA (Li et al., arXiv 2003.03780, appendix), by the names of AutoAugment."""
MOST_SUB_POLICIES = 1000
LARGEST_FILE_BYTES = 10_000_000
FORMAT, VERSION = "adaptnas augmentation policy", 1


@dataclass(frozen=True)
class AugmentationStep:
    """One operation of a sub-policy.

    Attributes:
        operation: Name of the operation, one of `OPERATIONS`.
        probability: Probability in [0, 1] that it is applied to an image.
        magnitude: Position in [0, 1] between the ends of the operation's range.
    """

    operation: str
    probability: float
    magnitude: float


@dataclass(frozen=True)
class SubPolicy:
    """Two operations that are applied to an image one after the other."""

    first: AugmentationStep
    second: AugmentationStep

    @property
    def steps(self) -> tuple[AugmentationStep, AugmentationStep]:
        return self.first, self.second


@dataclass(frozen=True)
class AugmentationPolicy:
    """Sub-policies, of which one is drawn for each image with equal probability."""

    sub_policies: tuple[SubPolicy, ...]

    def to_json(self) -> dict[str, Any]:
        steps = [[asdict(step) for step in sub_policy.steps] for sub_policy in self.sub_policies]
        return {"format": FORMAT, "version": VERSION, "sub_policies": steps}

    @classmethod
    def from_json(cls, data: object) -> AugmentationPolicy:
        """The policy of JSON values as `to_json` gives them.

        Raises:
            DataError: The data is of another form, or an operation, probability or magnitude is not allowed.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DataError(f"this is no augmentation policy; it must be an object with format = {FORMAT!r}")
        if data.get("version") != VERSION or isinstance(data["version"], bool):
            raise DataError(
                f"the policy has version {shown(data.get('version'))}; this program reads version {VERSION}"
            )
        unknown = sorted(set(data) - {"format", "version", "sub_policies"})
        if unknown:
            raise DataError(f"a policy has no key {shown(unknown[0])}; leave it out")
        rows = data.get("sub_policies")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_SUB_POLICIES:
            given = f"a list of {len(rows):,}" if isinstance(rows, list) else shown(rows)
            raise DataError(f"sub_policies is {given}; it must be a list of 1 to {MOST_SUB_POLICIES:,} sub-policies")
        return cls(tuple(_sub_policy(number, row) for number, row in enumerate(rows, 1)))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")


def read_policy(path: Path) -> AugmentationPolicy:
    """The policy in a JSON file.

    Raises:
        DataError: The file is missing, too large, no JSON, or holds no policy; the message names the file.
    """
    try:
        data = read_json(path, LARGEST_FILE_BYTES)
    except DataError as error:
        raise DataError(f"augmentation policy {error}; give the JSON file of a saved policy") from None
    try:
        return AugmentationPolicy.from_json(data)
    except DataError as error:
        raise DataError(f"augmentation policy {path}: {error}") from None


def _sub_policy(number: int, row: object) -> SubPolicy:
    if not isinstance(row, list) or len(row) != 2:
        raise DataError(f"sub-policy {number} is {shown(row)}; it must be a list of two steps")
    return SubPolicy(_step(number, row[0]), _step(number, row[1]))


def _step(number: int, step: object) -> AugmentationStep:
    keys = {"operation", "probability", "magnitude"}
    if not isinstance(step, dict) or set(step) != keys:
        raise DataError(f"a step of sub-policy {number} is {shown(step)}; it must have {', '.join(sorted(keys))}")
    operation = step["operation"]
    if operation not in OPERATIONS:
        raise DataError(f"operation {shown(operation)} of sub-policy {number}: {nearest(str(operation), OPERATIONS)}")
    for key in ("probability", "magnitude"):
        value = step[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise DataError(f"{key} of sub-policy {number} is {shown(value)}; it must be a number from 0 to 1")
    return AugmentationStep(operation, float(step["probability"]), float(step["magnitude"]))
