"""From a folder of images to a predictor that runs without this project, by the commands that a person would type.

    python -m nas.experiments.own_images WORK --omniglot omniglot_28.npz   (Omniglot, by alphabet)
    python -m nas.experiments.own_images WORK --icons /usr/share/icons     (icons in colour; folders.py names packages)
    python -m nas.experiments.own_images WORK --colour 60                  (synthetic colour glyphs)
    python -m nas.experiments.own_images WORK --glyphs 40 --toy            (built-in glyphs, in seconds)

Prints each command and what it printed. WORK is a new folder, which holds all files afterwards.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..command_line import machine
from .folders import write_colour_glyphs, write_glyphs, write_icons, write_omniglot

SHOTS: Final = 5
QUERIES: Final = 5
CLASSES: Final = 5
TOY: Final = (
    *("search.trials=2", "search.workers=1", "evaluator.budget=2", "evaluator.validation_tasks=4", "final.top=1"),
    *("final.seeds=1", "final.budget=2", "final.validation_tasks=4", "final.tasks=4"),
)
CALL: Final = """
import sys

class Banned:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "nas":
            raise ImportError("this process has no nas")

sys.meta_path.insert(0, Banned())
sys.path.insert(0, "predictor")
from adapt import load

predictor = load("predictor")
print(predictor.predict(sys.argv[1:]).labels)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demonstration; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("work", type=Path, help="a new folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--omniglot", type=Path, metavar="FILE.npz", help="packed Omniglot")
    source.add_argument("--icons", type=Path, metavar="FOLDER", help="icon themes, as installed")
    source.add_argument("--colour", type=int, metavar="CLASSES", help="synthetic colour glyphs")
    source.add_argument("--glyphs", type=int, metavar="CLASSES", help="built-in glyphs")
    parser.add_argument("--toy", action="store_true", help="a search of seconds, to see that all runs")
    options = parser.parse_args(arguments)
    work: Path = options.work
    work.mkdir(parents=True)
    print("\n".join(f"{name}: {value}" for name, value in machine().items()))
    kept = work / "kept"
    if options.omniglot is not None:
        write_omniglot(options.omniglot, work / "images", kept, alphabets=5)
    elif options.icons is not None:
        write_icons(options.icons, work / "images", themes=SHOTS + 3)
        _keep_back(work / "images", kept, CLASSES)
    elif options.colour is not None:
        write_colour_glyphs(work / "images", options.colour, examples=20)
        _keep_back(work / "images", kept, CLASSES)
    else:
        write_glyphs(work / "images", kept, options.glyphs)
    labels = _new_task(kept, work / "support", work / "queries")
    print(f"A new task of classes that no search has seen: {', '.join(labels)}")
    _run(work, "init", "images")
    _run(work, "tasks", "images.toml")
    settings = [part for key in TOY for part in ("--set", key)] if options.toy else []
    _run(work, "search", "images.toml", "--name", "mine", *settings)
    _run(work, "report", "mine")
    _run(work, "export", "mine", "--out", "net", "--pretrained")
    _run(work, "adapt", "net", "--support", "support", "--query", "queries", "--out", "predictor", "--compare", last=8)
    some = sorted((work / "queries").rglob("*.png"))[:3]
    _run(work, "predict", "predictor", *(path.relative_to(work).as_posix() for path in some))
    script = work / "call.py"
    script.write_text(CALL, encoding="utf-8")
    print("$ python -I call.py …   (a process that cannot import nas)")
    _print(work, [sys.executable, "-I", "call.py", *(path.relative_to(work).as_posix() for path in some)])


def _keep_back(folder: Path, kept: Path, classes: int) -> None:
    """Moves every few classes out of a folder."""
    names = sorted(entry.name for entry in folder.iterdir())
    kept.mkdir()
    for name in names[:: max(1, len(names) // classes)][:classes]:
        shutil.move(folder / name, kept / name)


def _new_task(kept: Path, support: Path, queries: Path) -> list[str]:
    """Copies a few images of some classes as the support set, and others as queries; returns the classes."""
    folders = sorted({path.parent for path in kept.rglob("*.png")})
    chosen = folders[:: max(1, len(folders) // CLASSES)][:CLASSES]
    labels = []
    for folder in chosen:
        label = folder.relative_to(kept).as_posix().replace("/", " ")
        labels.append(label)
        images = sorted(folder.iterdir())
        for target, part in ((support, images[:SHOTS]), (queries, images[SHOTS : SHOTS + QUERIES])):
            (target / label).mkdir(parents=True)
            for image in part:
                shutil.copy(image, target / label)
    return labels


def _run(work: Path, *command: str, last: int = 0) -> None:
    """Runs a command of `nas` in the folder `work` and prints it with its output, or the last lines of it."""
    print(f"$ nas {' '.join(command)}")
    start = time.perf_counter()
    _print(work, [sys.executable, "-m", "nas", *command], last)
    print(f"[{time.perf_counter() - start:.1f} s]")


def _print(work: Path, command: Sequence[str], last: int = 0) -> None:
    done = subprocess.run(command, cwd=work, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = done.stdout.rstrip().replace(str(work.resolve()), "WORK").splitlines()
    print("\n".join([f"… {len(lines) - last} lines", *lines[-last:]] if last and len(lines) > last else lines))
    if done.returncode:
        raise SystemExit(f"it ended with status {done.returncode}")


if __name__ == "__main__":
    main()
