"""Read infra/Dockerfile, and run the steps of a target as a script in a clean folder, where there is no Docker.

    python tests/integration/dockerfile.py [cpu|gpu] [FOLDER]

COPY copies from the clone, RUN runs with every path below /opt and /var/lib/daycast moved into the folder; the account is not
made, because that is for root. An ARG of a stage is what the environment says, so TORCH_INDEX= takes torch from where pip takes
the rest.
Ends with the programs that compose.yaml and k8s/ start.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[2]
_PLACES = ("/opt/", "/var/lib/daycast")


@dataclass(frozen=True)
class Step:
    """One instruction: RUN, COPY … and what follows it, lines joined."""

    kind: str
    text: str


def read_steps(target: str) -> list[Step]:
    """Every step that makes `target`, those of the stages it begins with first, without their FROM but the first one's.

    What an ARG before the first stage sets stands in the FROM for its name.
    """
    text = re.sub(r"^#.*\n", "", (ROOT / "infra" / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    steps = [Step(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]
    stages: dict[str, list[Step]] = {}
    defaults: dict[str, str] = {}
    for step in steps:
        if step.kind == "FROM":
            image, _, name = step.text.partition(" AS ")
            named = Step("FROM", Template(step.text).substitute(defaults))
            stages[name] = list(stages.get(image, [named]))
        elif not stages:
            defaults.update(variables_of(step))
        else:
            stages[name].append(step)
    return stages[target]


def run_steps(target: str, folder: Path) -> None:
    """Carry the steps out below `folder`; raises CalledProcessError where one fails."""

    def moved(text: str) -> str:
        return re.sub(rf"(?<![\w.])(?={'|'.join(_PLACES)})", str(folder), text)

    folder.mkdir(parents=True, exist_ok=True)
    place, environment = folder, {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for step in read_steps(target):
        print(f"{step.kind} {step.text}", flush=True)
        if step.kind == "WORKDIR":
            place = Path(moved(step.text))
            place.mkdir(parents=True)
        elif step.kind in {"ARG", "ENV"}:
            for name, value in variables_of(step):
                given = os.environ.get(name) if step.kind == "ARG" else None
                environment[name] = moved(value.replace("$PATH", environment["PATH"])) if given is None else given
        elif step.kind == "COPY":
            _copy(*step.text.split(), to=place)
        elif step.kind == "RUN" and not step.text.startswith("useradd"):
            command = moved(step.text.replace("--owner=10001 ", ""))
            subprocess.run(command, shell=True, check=True, cwd=place, env=environment)  # noqa: S602 - our own file
    for program in (["daycast", "--help"], ["prefect", "version"]):
        said = subprocess.run(program, check=True, cwd=place, env=environment, capture_output=True, text=True).stdout
        print(f"{' '.join(program)}: {said.splitlines()[0]}")


def variables_of(step: Step) -> list[tuple[str, str]]:
    """What an ENV or ARG sets."""
    return re.findall(r"(\w+)=(\S*)", step.text)


def _copy(*paths: str, to: Path) -> None:
    for source in paths[:-1]:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
        copy(ROOT / source, to / paths[-1])


if __name__ == "__main__":
    run_steps(*(sys.argv[1:2] or ["cpu"]), Path(*(sys.argv[2:3] or [tempfile.mkdtemp()])).resolve())
