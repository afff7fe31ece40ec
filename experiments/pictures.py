"""Pictures of docs/reference/spaces.md: a random architecture of every search space that has a diagram.

python -m nas.experiments.pictures docs/pictures              all of them
python -m nas.experiments.pictures docs/pictures darts mlp    some
"""

from __future__ import annotations

import argparse
import io
import random
from pathlib import Path

from PIL import Image

from nas import registry
from nas.errors import ConfigError
from nas.protocols import GraphSpace, SearchSpace
from nas.space import replay, sample
from nas.space.drawing import draw

from .command_line import explained

SEED = 0
WIDEST = 1000
"""Largest width and height in pixels."""
COLOURS = 24
"""Number of colours, by which a picture stays below 40 kB."""


def picture(space: SearchSpace) -> Image.Image:
    """The diagram of a random architecture of the space, scaled down.

    Raises:
        ConfigError: The space has no diagram.
    """
    if not isinstance(space, GraphSpace):
        raise ConfigError(f"space {space.name!r} has no diagram; give it a method `graph`")
    png = io.BytesIO()
    draw(space.graph(replay(space, sample(space, random.Random(SEED)))), png)
    image = Image.open(png).convert("RGB")
    image.thumbnail((WIDEST, WIDEST))
    return image.quantize(COLOURS)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.pictures", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go: NAME.png for each space")
    parser.add_argument("spaces", nargs="*", help="names of spaces; none for all that have a diagram")
    options = parser.parse_args(arguments)
    with explained(parser.prog):
        options.folder.mkdir(parents=True, exist_ok=True)
        for name in options.spaces or registry.names("space"):
            space = registry.create("space", name, {})
            if options.spaces or isinstance(space, GraphSpace):
                picture(space).save(options.folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
