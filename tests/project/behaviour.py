"""Record of what the program does: digests of its outputs, to be compared before and after a change of its code.

    python tests/project/behaviour.py record FILE.json [--raw FOLDER] [--only WORD]
    python tests/project/behaviour.py compare FILE.json [--raw FOLDER] [--only WORD]

`record` writes a digest of each output to FILE.json, and its normalised text to a folder beside it (FILE_raw).
`compare` makes the outputs anew, prints the names whose digests differ with a short diff, and ends with status 1 where
any does. What differs between two runs of the same code is replaced: measured seconds, dates, and the temporary folder.
A record holds for one machine and one set of installed packages, since floating-point numbers depend on both.

Only the command line and public imports are used, so that the same file runs before and after modules are moved.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from behaviour_inputs import (
    ASKED_AGAIN,
    BAD,
    COMMANDS,
    DECLARED,
    META,
    MLP,
    OWN_CONTROLLER,
    OWN_SPACE,
    SEARCHES,
    TABULAR,
    draw_examples,
    table_of,
)

from nas import registry
from nas.evaluators import Tabular
from nas.executors import InlineExecutor
from nas.search import search
from nas.search_spaces import Mlp
from nas.store import Store
from nas.testing import ToySpace

ROOT = Path(__file__).resolve().parents[2]
NAS_BENCH_201 = ROOT.parent / "shared" / "data" / "nas_bench_201_cifar10.npz"
TRIALS = 60
SPACES: Mapping[str, Callable[[], Any]] = {
    "toy": ToySpace,
    "mlp": lambda: Mlp(widths=(4, 8, 16, 32), max_depth=4),
}
"""Spaces of 36 and of 340 architectures."""
VARIANTS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "toy, repeats known": ("toy", "known", {}),
    "toy, repeats evaluated": ("toy", "evaluated", {}),
    "mlp, repeats known": ("mlp", "known", {}),
}
"""By name: space, what happens to networks that are proposed again, and options of the controller."""
OPTUNA = ("optuna:tpe", "optuna:random", "optuna:nsgaii", "optuna:nsgaiii", "optuna:qmc")
MEASURED_KEYS = {"seconds", "train_seconds", "latency_ms"}
PATTERNS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", "<date>"),
    (r"(?m)^(\d+ min )?\d+ s\. ", "<duration>. "),
    (r"\b\d+ min \d+ s\b", "<duration>"),
    (r"\b\d[\d,]*(\.\d+)? ?(ms|µs|s)\b", "<duration>"),
    (r"(?m) +[\d,]+\.\d(?=  [0-9a-f]{16}$)", " <seconds>"),
    (r"(<td>[0-9a-f]{16}</td>(?:<td[^>]*>[^<]*</td>)+<td class=\"num\">)[\d,]+\.\d(?=</td></tr>)", r"\1<seconds>"),
    (r"events\.out\.tfevents\.[\w.-]+", "<events>"),
)
"""What is replaced in texts: regular expressions, and what stands in their place."""
ALWAYS = 2
"""How many of them, the first, also hold where seconds are simulated: a date, and how long a whole command took."""


def toy_search(controller: str, variant: str, folder: Path) -> str:
    """One search in this process: a line for each trial in the order of proposal, and how the search ended."""
    space_name, repeats, options = VARIANTS[variant]
    space = SPACES[space_name]()
    table = folder / f"{space_name}.csv"
    if not table.exists():
        table_of(space, table)
    store_path = Path(tempfile.mkdtemp(dir=folder)) / "trials.sqlite"
    with Store.create(store_path, {}) as store, InlineExecutor() as executor:
        end = search(
            space=space,
            controller=registry.create("controller", controller, options, space=space, seed=3, **_given(controller)),
            evaluator=Tabular(space, path=table, metrics=("parameters", "flops")),
            store=store,
            executor=executor,
            trials=TRIALS,
            budget=8,
            seed=1,
            workers=1,
            duplicates=repeats,  # type: ignore[arg-type]
        )
        trials = [trial.to_json() for trial in store.trials()]
        told = [trial.number for trial in store.told()]
    lines = [
        [t["number"], t["architecture"]["picks"], t["state"], t["score"] and t["score"]["value"], t["repeats"]]
        for t in trials
    ]
    return "\n".join([*map(json.dumps, lines), f"told {told}", f"end {end}"]).replace(str(folder), "<tmp>")


def controllers() -> list[str]:
    """All controllers of the registry whose proposals do not depend on the version of another package."""
    return registry.names("controller")


def toy_searches(names: list[str]) -> Iterator[tuple[str, Callable[[Path], str]]]:
    for controller in names:
        for variant in VARIANTS:
            yield (
                f"controller {controller}: {variant}",
                lambda folder, c=controller, v=variant: toy_search(c, v, folder),
            )


def _given(controller: str) -> dict[str, Any]:
    """What the program gives a controller besides space and seed."""
    return {"features": None} if "features" in registry.options_of(registry.find("controller", controller)) else {}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the program in a process of its own, on one thread, in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "NAS_RUNS"} | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-m", "nas", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def told(folder: Path, *arguments: str, simulated: bool = False) -> str:
    """Exit status and normalised output of one command. With `simulated`, seconds are those of a table, and kept."""
    done = run(folder, *arguments)
    out = done.stdout
    if "--json" in arguments and out.startswith(("{", "[")):
        document = json.loads(out)
        out = json.dumps(document if simulated else without_measured(document), indent=1) + "\n"
        out = out.replace(str(folder), "<tmp>")
    else:
        out = normalised(out, folder, simulated=simulated)
    err = normalised(done.stderr, folder, simulated=simulated)
    return f"nas {' '.join(arguments)}\nstatus {done.returncode}\n-- output\n{out}-- errors\n{err}"


def without_measured(value: Any) -> Any:
    """A JSON value in which what a clock measured is replaced."""
    if isinstance(value, dict):
        return {
            key: "<measured>" if key in MEASURED_KEYS and isinstance(each, float) and each else without_measured(each)
            for key, each in value.items()
        }
    return [without_measured(each) for each in value] if isinstance(value, list) else value


def normalised(text: str, folder: Path, *, simulated: bool = False) -> str:
    """A text without the temporary folder and the checkout's, dates and measured times."""
    text = text.replace(str(folder), "<tmp>").replace(str(ROOT), "<project>")
    for pattern, place in PATTERNS[:ALWAYS] if simulated else PATTERNS:
        text = re.sub(pattern, place, text)
    return text


def files_of(place: Path, folder: Path) -> str:
    """Each file of a folder: small texts whole, others by their digest."""
    lines = []
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        name = path.relative_to(place)
        if path.suffix in (".py", ".json", ".dot", ".svg", ".md", ".txt"):
            lines.append(f"== {name}\n{normalised(path.read_text('utf-8'), folder)}")
        else:
            lines.append(f"== {name}: {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return "\n".join(lines)


def names_of(place: Path) -> str:
    """The names of a run's files, without those that SQLite makes and removes itself."""
    names = {
        re.sub(r"events\.out.*", "<events>", path.relative_to(place).as_posix())
        for path in place.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }
    return "\n".join(sorted(names)) + "\n"


def help_texts() -> Iterator[tuple[str, Callable[[Path], str]]]:
    yield "help", lambda folder: told(folder, "--help")
    for command in COMMANDS:
        yield f"help {command}", lambda folder, c=command: told(folder, c, "--help")
    for name, arguments in DECLARED.items():
        yield name, lambda folder, a=arguments: told(folder, *a)


def searches() -> Iterator[tuple[str, Callable[[Path], str]]]:
    """Small searches through configs, and all that can be asked of each run afterwards."""
    for name, (base, options) in SEARCHES.items():
        simulated = base == "tabular.toml"
        settings = [word for option in options for word in (["--set", option] if "=" in option else [option])]
        run_name = re.sub(r"[^a-z0-9]+", "-", name)

        def ask(*arguments: str, s: bool = simulated) -> Callable[[Path], str]:
            return lambda folder: told(folder, *arguments, simulated=s)

        yield f"search {name}", ask("search", base, "--name", run_name, *settings)
        yield f"search {name}: show --json", ask("show", run_name, "--json")
        yield f"search {name}: show", ask("show", run_name)
        yield (
            f"search {name}: report.html",
            lambda folder, r=run_name, s=simulated: normalised(
                (folder / "runs" / r / "report.html").read_text("utf-8"), folder, simulated=s
            ),
        )
        yield f"search {name}: files", lambda folder, r=run_name: names_of(folder / "runs" / r)
        if name in ASKED_AGAIN:
            yield f"search {name}: resume", ask("resume", run_name)
            yield f"search {name}: report", ask("report", run_name)
        if not simulated:
            yield f"search {name}: export", ask("export", run_name, "--out", f"{run_name}-net")
            yield f"search {name}: export folder", lambda folder, r=run_name: files_of(folder / f"{r}-net", folder)


def adaptations() -> Iterator[tuple[str, Callable[[Path], str]]]:
    """Exported networks on examples of a person's own; the searches must have been made before."""
    for name, arguments in {
        "adapt images": ("glyphs-net", "--support", "support"),
        "adapt images, query": ("glyphs-net", "--support", "support", "--query", "support/ring"),
        "adapt numbers": ("sinusoid-net", "--support", "points.csv"),
    }.items():
        yield name, lambda folder, a=arguments: told(folder, "adapt", *a)
        yield f"{name} --json", lambda folder, a=arguments: told(folder, "adapt", *a, "--json")


def comparisons() -> Iterator[tuple[str, Callable[[Path], str]]]:
    """Comparisons of controllers on tables, in simulated time."""
    made = ("compare", "tabular.toml", "--controllers", "random,evolution,reinforce,small", "--seeds", "3", "--json")
    yield "compare a made-up table", lambda folder: told(folder, *made, simulated=True)
    yield "compare a made-up table, text", lambda folder: told(folder, *made[:-1], simulated=True)
    yield "compare a made-up table: files", lambda folder: files_of_report(folder / "runs" / "compare-tabular", folder)
    if NAS_BENCH_201.exists():
        arguments = ["compare", "nas_bench_201", "--set", f"evaluator.path={NAS_BENCH_201}", "--seeds", "2", "--json"]
        arguments += ["--controllers", "random,regularized-evolution,evolution", "--set", "search.seconds=4000"]
        place = str(NAS_BENCH_201)
        yield (
            "compare NAS-Bench-201",
            lambda folder: told(folder, *arguments, simulated=True).replace(place, "<table>"),
        )
        yield (
            "compare NAS-Bench-201: files",
            lambda folder: files_of_report(folder / "runs" / "compare-nas_bench_201", folder).replace(place, "<table>"),
        )


def files_of_report(place: Path, folder: Path) -> str:
    """Texts of a comparison's folder, HTML whole."""
    pages = [
        f"== {path.name}\n{normalised(path.read_text('utf-8'), folder, simulated=True)}"
        for path in sorted(place.iterdir())
        if path.suffix in (".html", ".txt", ".json", ".csv", ".md", ".svg")
    ]
    return names_of(place) + "\n".join(pages)


def bad_inputs() -> Iterator[tuple[str, Callable[[Path], str]]]:
    for number, arguments in enumerate(BAD):
        yield f"bad input {number:02}: {' '.join(arguments)[:70]}", lambda folder, a=arguments: told(folder, *a)


def prepare(folder: Path) -> None:
    """Writes the configs, tables and examples that the commands read."""
    for name, text in {"glyphs.toml": META, "sinusoid.toml": MLP, "tabular.toml": TABULAR}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "my_space.py").write_text(OWN_SPACE, encoding="utf-8")
    (folder / "my_controller.py").write_text(OWN_CONTROLLER, encoding="utf-8")
    (folder / "broken.toml").write_text("[space\n", encoding="utf-8")
    (folder / "not_python.py").write_text("class :\n", encoding="utf-8")
    (folder / "empty").mkdir()
    table_of(SPACES["mlp"](), folder / "table.csv")
    (folder / "points.csv").write_text("\n".join(f"{x / 4},{x * x / 16 - 1}" for x in range(-4, 5)), encoding="utf-8")
    draw_examples(folder / "support")


def outputs() -> Iterator[tuple[str, Callable[[Path], str]]]:
    """By name, in order, what makes each output's normalised text in a prepared folder."""
    yield from toy_searches([*controllers(), *_installed(OPTUNA)])
    yield from help_texts()
    yield from searches()
    yield from adaptations()
    yield from comparisons()
    yield from bad_inputs()


def _installed(names: tuple[str, ...]) -> list[str]:
    """Those samplers whose packages are installed."""
    from importlib.util import find_spec

    return list(names) if find_spec("optuna") else []


def make(only: str) -> dict[str, str]:
    """All outputs by name, those alone whose names hold `only`; progress is written to standard error."""
    made: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="behaviour-") as place:
        folder = Path(place).resolve()
        prepare(folder)
        for name, text_of in outputs():
            if only in name:
                started = time.monotonic()
                try:
                    made[name] = text_of(folder)
                except OSError as error:
                    made[name] = normalised(f"no output: {error}\n", folder)
                sys.stderr.write(f"{time.monotonic() - started:6.1f} s  {name}\n")
    return made


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    import nas

    if not Path(str(nas.__file__)).is_relative_to(ROOT):
        raise SystemExit(f"nas is imported from {nas.__file__}; set PYTHONPATH to {ROOT}")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--raw", type=Path, help="folder of the normalised texts; by default FILE_raw beside FILE.json")
    parser.add_argument("--only", default="", help="outputs whose names hold this word")
    given = parser.parse_args()
    raw = given.raw or given.file.with_name(f"{given.file.stem}_raw")
    started = time.monotonic()
    made = make(given.only)
    digests = {name: digest(text) for name, text in made.items()}
    if given.what == "record":
        given.file.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
        write_raw(raw, made)
        lines = [f"{value[:16]}  {name}" for name, value in digests.items()]
        failed = 0
    else:
        lines = differences(json.loads(given.file.read_text("utf-8")), made, raw, given.only)
        failed = sum(not line.startswith(" ") for line in lines)
    sys.stdout.write("\n".join(lines) + f"\n{len(made)} outputs in {time.monotonic() - started:.0f} s")
    sys.stdout.write("\n" if given.what == "record" else f", {failed} different\n")
    raise SystemExit(bool(failed))


def raw_path(raw: Path, name: str) -> Path:
    """The file of an output's text; of names that are alike in letters and digits, each has its own."""
    return raw / f"{re.sub(r'[^A-Za-z0-9]+', '_', name)[:80]}-{digest(name)[:6]}.txt"


def write_raw(raw: Path, made: Mapping[str, str]) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        raw_path(raw, name).write_text(text, encoding="utf-8")


def differences(before: Mapping[str, str], made: Mapping[str, str], raw: Path, only: str) -> list[str]:
    """A line for each name whose output differs, followed by an indented diff where the earlier text was kept."""
    lines = []
    for name in dict.fromkeys([*(name for name in before if only in name), *made]):
        if name not in made or name not in before:
            lines.append(f"{'no longer made' if name in before else 'not recorded'}: {name}")
        elif digest(made[name]) != before[name]:
            lines.append(f"different: {name}")
            path = raw_path(raw, name)
            old = path.read_text("utf-8").splitlines() if path.exists() else []
            diff = difflib.unified_diff(old, made[name].splitlines(), "before", "now", n=0, lineterm="")
            lines += [f"    {line[:300]}" for line in list(diff)[:40]] if old else ["    (no earlier text)"]
    return lines


if __name__ == "__main__":
    main()
