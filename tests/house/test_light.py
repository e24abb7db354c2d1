"""Asking the command line what it can do loads nothing heavy."""

import subprocess
import sys

HEAVY = {
    "torch",
    "prefect",
    "polars",
    "duckdb",
    "pandera",
    "sklearn",
    "pyarrow",
    "altair",
    "numpy",
    "pydantic",
    "httpx",
    "fastexcel",
    "rich",
    "argcomplete",
}


def test_help_imports_the_standard_library_alone():
    code = "import sys, contextlib\nfrom daycast.__main__ import main\nwith contextlib.suppress(SystemExit): main(['--help'])\n"
    tell = "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + tell], capture_output=True, text=True, check=True)
    assert "usage: daycast" in done.stdout
    assert not HEAVY & set(done.stderr.split())
