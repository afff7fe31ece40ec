"""Folders of images as a person would have them: Omniglot by alphabet, icons of several themes, colour glyphs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files import size_of
from nas.evaluators.tasks import Glyphs
from nas.evaluators.tasks.omniglot_files import read_characters
from nas.task import Split


def write_omniglot(packed: Path, folder: Path, kept: Path, alphabets: int) -> None:
    """Writes Omniglot's characters as ALPHABET/CHARACTER/NN.png, black ink on white.

    Args:
        packed: The packed .npz.
        folder: Where all alphabets but the last few go.
        kept: Where the alphabets go that no search sees.
        alphabets: Number of the alphabets that are kept back, the last by name.
    """
    characters = read_characters(packed)
    names = sorted({name.partition("/")[0] for name in characters.names})
    back = set(names[-alphabets:])
    for name, drawings in zip(characters.names, characters.images, strict=True):
        target = (kept if name.partition("/")[0] in back else folder) / name
        target.mkdir(parents=True)
        for number, drawing in enumerate(drawings):
            Image.fromarray(255 - drawing).save(target / f"{number:02}.png")


def write_glyphs(folder: Path, kept: Path, classes: int) -> None:
    """Writes built-in glyphs as FACE/GLYPH/NN.png, for a run without other data; the test split is kept back.

    Args:
        folder: Where classes of the training split go.
        kept: Where classes of the test split go.
        classes: Classes of each, at most.
    """
    data = Glyphs().load()
    splits: tuple[tuple[Path, Split], ...] = ((folder, "train"), (kept, "test"))
    for target, split in splits:
        pool = data.pools[split]
        step = max(1, len(pool.names) // classes)
        for place in range(0, len(pool.names), step)[:classes]:
            face, _, _ = pool.names[place].partition("/")
            images = data.examples[pool.rows[place]].numpy()
            _write(target / f"{face}-{place}", [255 - image for image in images])


def write_icons(icons: Path, folder: Path, themes: int) -> None:
    """Writes real colour images: each class is the name of an icon, each image its drawing in one theme.

    Of each theme the drawing whose side is nearest to 48 pixels is taken. Links are left out, since they give one
    drawing several names; so is a drawing that another theme has too.

    Args:
        icons: A folder of icon themes with PNG files, such as /usr/share/icons on Debian with the packages
            tango-icon-theme, gnome-icon-theme, oxygen-icon-theme, mate-icon-theme, lxde-icon-theme,
            elementary-xfce-icon-theme, faenza-icon-theme, moka-icon-theme and paper-icon-theme.
        folder: Where the class folders go.
        themes: Least number of themes that draw an icon.
    """
    drawings: dict[str, dict[bytes, Path]] = {}
    for theme in sorted(path for path in icons.iterdir() if path.is_dir() and not path.is_symlink()):
        best: dict[str, tuple[int, Path]] = {}
        for path in sorted(theme.rglob("*.png")):
            size = None if path.is_symlink() else size_of(path)
            if size is not None and size[0] == size[1]:
                best[path.stem] = min(best.get(path.stem, (10**6, path)), (abs(size[0] - 48), path))
        for name, (_, path) in best.items():
            drawings.setdefault(name, {}).setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    for name, of_name in drawings.items():
        if len(of_name) >= themes:
            (folder / name).mkdir(parents=True)
            for path in of_name.values():
                shutil.copy(path, folder / name / f"{path.relative_to(icons).parts[0]}.png")


def write_colour_glyphs(folder: Path, classes: int, examples: int) -> None:
    """Writes synthetic colour images: built-in glyphs in a colour of their class on a textured ground.

    Each class is a glyph in a hue; each image has a ground of its own, of smooth noise in random colours, and a
    brightness of its own.

    Args:
        folder: Where the class folders go.
        classes: Number of classes.
        examples: Images of each class, at most 20.
    """
    data = Glyphs().load()
    pool = data.pools["train"]
    rng = np.random.default_rng(0)
    step = max(1, len(pool.names) // classes)
    for number, place in enumerate(range(0, len(pool.names), step)[:classes]):
        hue = number * 0.618034 % 1.0
        inks = data.examples[pool.rows[place]][:examples].numpy()
        _write(folder / f"glyph {number:03}", [_coloured(ink, hue, rng) for ink in inks])


def _coloured(ink: NDArray[np.uint8], hue: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A glyph (28, 28) as a colour image (56, 56, 3)."""
    cover = np.asarray(Image.fromarray(ink).resize((56, 56), Image.Resampling.BILINEAR), dtype=float)[..., None] / 255
    coarse = rng.integers(60, 200, (5, 5, 3), dtype=np.uint8)
    ground = np.asarray(Image.fromarray(coarse).resize((56, 56), Image.Resampling.BICUBIC), dtype=float)
    ground += rng.normal(0, 12, ground.shape)
    shade = Image.new("HSV", (1, 1), (int(255 * hue), 230, int(rng.integers(170, 255)))).convert("RGB")
    image = (1 - cover) * ground + cover * np.asarray(shade, dtype=float)
    clipped: NDArray[np.uint8] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return clipped


def _write(folder: Path, images: list[NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02}.png")
