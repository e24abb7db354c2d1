"""Nothing heavy is loaded where it is not used: by `--help`, an ingest or a publication."""

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


def test_an_ingest_and_a_publication_import_no_torch():
    code = "import sys, daycast.flows.ingest, daycast.flows.publish; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "sklearn"} & set(done.stdout.split())
