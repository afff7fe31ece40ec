"""Executors in scripts: functions of the script run, its output stays clean, and it may end without a shutdown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers.search import ended

SCRIPT = """
import json, os, sys
from nas.executors import ProcessExecutor

print("imported", file=sys.stderr if __name__ == "__main__" else sys.stdout)

def own(x):
    print("on standard output")
    os.system("echo and from a child")
    return x + 1

def main():
    with ProcessExecutor(2) as executor:
        future = executor.submit(own if {own} else abs, 41)
        print(json.dumps([future.result()] if future.exception() is None else str(future.exception())))

{guard}main()
"""
GUARD = "if __name__ == '__main__': "


def script_output(*command: str, **options: Any) -> object:
    ran = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, **options, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_runs_functions_of_a_script_and_keeps_its_output_clean(tmp_path: Path) -> None:
    script = tmp_path / "my script.py"
    script.write_text(SCRIPT.format(guard=GUARD, own=True))
    assert script_output(str(script)) == [42]
    assert script_output("my script.py", cwd=tmp_path) == [42]
    (tmp_path / "my_module.py").write_text(script.read_text())
    assert script_output("-m", "my_module", cwd=tmp_path) == [42]
    assert script_output("-c", SCRIPT.format(guard=GUARD, own=False)) == [41]
    assert script_output("-", input=SCRIPT.format(guard=GUARD, own=False)) == [41]


def test_a_script_without_the_guard_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard="", own=True))
    assert "does the script start its search under `if __name__ == '__main__':`?" in str(script_output(str(script)))


def test_a_program_may_end_without_shutdown() -> None:
    code = "from nas.executors import *; e = ProcessExecutor(1); print(e.submit(__import__('os').getpid).result())"
    assert ended(int(str(script_output("-W", "ignore", "-c", code))))
