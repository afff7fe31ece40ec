"""Final result of a run."""

from __future__ import annotations

KIND = "table"
