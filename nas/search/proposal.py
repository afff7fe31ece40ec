"""Proposals of a controller, decided and keyed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..architecture import Architecture


@dataclass(frozen=True)
class Proposal:
    """A proposed architecture with what was derived from it.

    Attributes:
        architecture: The proposed architecture.
        spec: What the space's `decide` returned for it.
        network: Key that equal networks share (`nas.space.identity`); None where duplicates are evaluated again.
    """

    architecture: Architecture
    spec: Any
    network: str | None
