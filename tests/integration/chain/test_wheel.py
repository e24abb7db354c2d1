"""The wheel is all that is needed: in a fresh environment, far from any clone, daycast works in an empty folder."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from integration.place import Place

ROOT = Path(__file__).parents[3]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src", "flows", "sql", "infra")
INFRA = {"daycast/infra/prefect.yaml", "daycast/infra/automations.json"}  # of that folder these alone
SDIST = "import sys\nfrom setuptools import build_meta\nbuild_meta.build_sdist(sys.argv[1])"
PLACES = """
import daycast.flows
print(daycast.__file__, daycast.flows.__file__, *map(daycast.resource_folder, ["sql", "infra"]), sep="\\n")
"""
NETWORK = '[[sources]]\nkind = "simulated"\nstations = 3\nhistory = "10d"\n'  # too short for anything but baselines
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine does not show its processes in /proc"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the source distribution, and that from a copy, because a build leaves files behind."""
    copy, made = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("made")
    for name in SOURCES:
        source = ROOT / name
        take = shutil.copytree if source.is_dir() else shutil.copy2
        take(source, copy / name)
    # without isolation, which would fetch setuptools: torch needs it, so it is there
    subprocess.run([sys.executable, "-c", SDIST, made], cwd=copy, check=True)
    (sdist,) = made.glob("*.tar.gz")
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", made]
    subprocess.run([sys.executable, "-m", "pip", *build, sdist], cwd=made, check=True)
    (wheel,) = made.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """The folder of programs of a fresh environment: daycast from the wheel, all other packages from this environment."""
    fresh = tmp_path_factory.mktemp("fresh")
    venv.create(fresh, symlinks=True)
    python = fresh / "bin" / "python"
    install = ["--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    (packages,) = fresh.glob("lib/python*/site-packages")
    others = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (packages / "others.pth").write_text("\n".join(others))  # .pth files there, which lead to a clone, are not read
    return fresh / "bin"


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    def below(folder: str, place: str, pattern: str = "*") -> set[str]:
        files = [path for path in (ROOT / folder).rglob(pattern) if path.is_file() and path.suffix != ".pyc"]
        return {f"{place}/{path.relative_to(ROOT / folder).as_posix()}" for path in files}

    ours = below("src/daycast", "daycast") | below("flows", "daycast/flows", "*.py")
    ours |= below("sql", "daycast/sql", "*.sql") | INFRA
    ours.remove("daycast/README.md")  # design notes, for who has a clone
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in inside if ".dist-info/" not in name} == ours
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)


def test_in_an_empty_folder_it_runs_once_and_by_itself(programs, tmp_path):
    place = Place(tmp_path)
    place.command = [str(programs / "daycast")]
    (tmp_path / "daycast.toml").unlink()
    (tmp_path / "daycast.py").write_text("raise SystemExit('a file of the user was taken for the package')")

    asked = subprocess.run([programs / "python", "-P", "-c", PLACES], capture_output=True, text=True, check=True)
    assert all(Path(path).is_relative_to(programs.parent) for path in asked.stdout.splitlines()), asked.stdout
    assert place.run("--help").stdout.startswith("usage: daycast")

    assert place.run("init").returncode == 0
    assert (tmp_path / "daycast.toml").read_text() == (ROOT / "src" / "daycast" / "template.toml").read_text()
    (tmp_path / "daycast.toml").write_text(NETWORK)
    ran = place.run("run")
    assert ran.returncode == 0, ran.stderr
    count = ("sql", "select count(distinct station_id) as n from latest_forecasts", "--format", "csv")
    assert place.run(*count).stdout == "n\n3\n"

    try:
        place.up()
        run = place.trigger("forecast")
        place.completed("forecast/forecast", of=lambda each: each["id"] == run)
        place.environment["PREFECT_API_URL"] = place.url
        deployed = place.run("deploy")
        assert deployed.returncode == 0, deployed.stderr
    finally:
        down = place.run("down")
    assert down.stdout == "down\n"
    assert processes_of(programs) == []


def processes_of(programs: Path) -> list[str]:
    """The commands of all processes that run a program of this folder."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if command.startswith(str(programs)):
            commands.append(command.replace("\0", " "))
    return commands
