"""Files of tensors in the safetensors format that are the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

LENGTH, ALIGNMENT, METADATA = 8, 8, "__metadata__"
"""Bytes of the header's length at the start of a file; what a header is padded to; the header's key of metadata."""
PLAIN: Final = {"format": "pt"}


def tensor_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] = PLAIN) -> bytes:
    """The content of a file of tensors. safetensors itself writes several metadata in an order that changes."""
    from safetensors.torch import save

    content = save(dict(tensors), metadata=dict(metadata))
    end = LENGTH + int.from_bytes(content[:LENGTH], "little")
    header = json.loads(content[LENGTH:end])
    header[METADATA] = dict(sorted(header[METADATA].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH, "little") + text + content[end:]
