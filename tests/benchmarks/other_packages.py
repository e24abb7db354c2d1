"""Packages that only a benchmark needs, in a virtual environment of their own: the project's is left as it is."""

import subprocess
import sys
import venv
from pathlib import Path

DEFAULT = Path(__file__).parents[2] / ".venv-bench"


def python_with(folder: Path, *requirements: str) -> Path:
    """The Python of an environment in `folder` that has these packages, made and filled where it does not."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    installed = folder / "installed.txt"
    held = installed.read_text().splitlines() if installed.exists() else []
    if missing := [requirement for requirement in requirements if requirement not in held]:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *missing], check=True, stdout=sys.stderr)
        installed.write_text("\n".join([*held, *missing]))
    return python
