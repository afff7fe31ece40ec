"""Detection of networks that are too large for the machine, before their memory is taken where that is possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..architecture import Architecture
from ..errors import SpaceError, shown
from ..failures import attempt
from ..protocols.spaces import SearchSpace
from ..provenance import memory_bytes
from ..space.sampling import options_taken

if TYPE_CHECKING:
    from torch import nn

COPIES = 2
"""Tensors of a network's size that every training has in memory at least: the weights and their gradient."""
NAMED = 3
"""Largest choices that an error names."""
TOO_LARGE = re.compile(
    r"can't allocate memory|out of memory|CUBLAS_STATUS_ALLOC_FAILED|[Oo]verflow(ed)? (with sizes|when unpacking long)"
)
"""Messages of torch's errors about sizes that no memory holds, beside the errors that have a class of their own."""


def check_size(space: SearchSpace, architecture: Architecture, build: Callable[[], nn.Module]) -> None:
    """Checks that a network's weights and their gradient fit in the memory of this machine.

    Args:
        space: The search space of the architecture.
        architecture: The architecture of the network.
        build: Builds the network. It is called on torch's meta device, where tensors have a shape and take no memory; a
            network that cannot be built there passes.

    Raises:
        SpaceError: The network does not fit; the message gives its size and the largest choices.
    """
    import torch

    with torch.device("meta"), named_if_too_large(space, architecture):
        built = attempt(build)
        if built.error is not None and _says_too_large(built.error):
            raise built.error
    network = built.value
    if not isinstance(network, torch.nn.Module):
        return
    tensors = [*network.parameters(), *network.buffers()]
    needed, available = COPIES * sum(tensor.nbytes for tensor in tensors), memory_bytes()
    if needed > available:
        count = sum(parameter.numel() for parameter in network.parameters())
        raise _too_large(
            space,
            architecture,
            f"its {count:,} parameters and their gradient take {needed / 1e9:,.1f} GB, and this machine has "
            f"{available / 1e9:,.1f} GB",
        )


@contextmanager
def named_if_too_large(space: SearchSpace, architecture: Architecture) -> Iterator[None]:
    """Context in which torch's errors about memory become an error about the architecture.

    Args:
        space: The search space of the architecture.
        architecture: The architecture whose network is built or run in the context.

    Raises:
        SpaceError: Memory ran out, or no memory is large enough; the message gives the size that was asked for and the
            largest choices of the architecture.
    """
    try:
        yield
    except (MemoryError, RuntimeError, TypeError, SpaceError) as error:
        cause = error.__cause__ if isinstance(error, SpaceError) else error
        if cause is None or not _says_too_large(cause):
            raise
        requested = re.search(r"allocate (\d+) bytes", str(cause))
        size = f"{int(requested[1]) / 1e9:,.1f} GB at once" if requested else "more than any memory holds"
    else:
        return
    # This stands outside the `except`, because the traceback of the first error keeps the tensors alive.
    raise _too_large(space, architecture, f"it needs {size}")


def _says_too_large(error: BaseException) -> bool:
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or TOO_LARGE.search(str(error)) is not None


def _too_large(space: SearchSpace, architecture: Architecture, why: str) -> SpaceError:
    options = attempt(options_taken, space, architecture).value
    return SpaceError(
        f"the network of {architecture.key} in space {space.name!r} is too large: {why}. {_largest(options or {})}; "
        "offer smaller options, or limit the networks by search.constraints"
    )


def _largest(options: dict[str, Any]) -> str:
    numbers = {name: n for name, n in options.items() if isinstance(n, int | float) and not isinstance(n, bool)}
    largest = sorted(numbers.items(), key=lambda pair: -pair[1])[:NAMED]
    if not largest:
        return f"Its choices are {shown(options)}"
    return "Its largest choices are " + ", ".join(f"{name!r} = {number:,}" for name, number in largest)
