"""The layers: imports go downwards only, and each third-party edge has one owner."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "daycast"
LAYERS = [  # lowest first; a module may import from its own folder and from the layers below
    {"redact", "loopback", "interrupt"},
    {"errors"},
    {"times", "variables", "stations", "files", "duckdb_extensions", "duckdb_results"},
    {"quality", "features", "model", "evaluation"},
    {"sources", "warehouse", "report"},
    {"settings"},
    {"steps"},
    {"service"},
    {"cli", "flows"},
    {"__main__"},
]
SIDEWAYS = {("model", "features")}
ALSO = {("cli", "flows")}  # commands call the flows
OWNERS = {
    "pandera": {"quality"},
    "torch": {"model"},
    "safetensors": {"model"},
    "sklearn": {"features"},
    "duckdb": {
        "warehouse",
        "steps",
        "sources",
        "duckdb_extensions",
        "duckdb_results",
    },  # steps hand connections on, for annotations; the source sql asks with it
    "httpx": {"sources"},
    "fastexcel": {"sources"},
    "paho": {"sources"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
    "tzfpy": {"report"},
    "rich": {"report"},
    "argcomplete": {"cli"},
    "pydantic": {"sources", "settings"},
    "prefect": {"flows", "service"},  # service serves it
    "uvicorn": {"service"},
    "prefect_dask": {"flows"},
    "dask": {"flows"},
    "distributed": {"flows"},
}
MODULES = sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "flows").glob("*.py"))


def part_of(path: Path) -> str:
    """The layer's part a file belongs to: its folder in the package, or its own name."""
    if path.is_relative_to(ROOT / "flows"):
        return "flows"
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def height(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.name != "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_imports_downwards_only(path):
    own = part_of(path)
    for name in imports_of(path):
        if not name.startswith("daycast.") or name == "daycast.__version__":
            continue
        other = name.split(".")[1]
        allowed = other == own or height(other) < height(own) or (own, other) in SIDEWAYS | ALSO
        assert allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_third_party_edge_has_one_owner(path):
    for name in imports_of(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or part_of(path) in owners, f"{path.relative_to(ROOT)} imports {name}"


def test_every_package_is_listed_in_pyproject():
    folders = {path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == {".".join(folder.parts) for folder in folders} | {
        "daycast.flows",
        "daycast.sql",
        "daycast.infra",
    }


def test_no_module_of_the_library_reads_clock_or_environment_below_the_entry_points():
    for path in MODULES:
        if part_of(path) in {"settings", "service", "cli", "flows", "files", "__main__"}:
            continue
        text = path.read_text().replace("os.environ.setdefault", "")  # which sets it
        for forbidden in ("datetime.now", "utcnow", "date.today", "time.time()", "os.environ", "getenv"):
            assert forbidden not in text, f"{path.relative_to(ROOT)} has {forbidden}"


def test_nothing_is_pickled_or_evaluated():
    for path in MODULES:
        text = path.read_text()
        for forbidden in ("import pickle", "torch.load", "joblib", "eval(", "exec("):
            found = [line for line in text.splitlines() if forbidden in line and ".eval()" not in line]
            assert not found, f"{path.relative_to(ROOT)}: {found}"


PLUG_INS = ("flows/", "src/daycast/cli/", "src/daycast/sources/")  # each registered in one place, however small


def test_no_small_file_has_only_one_reader():
    """What only one other file imports, and what has fewer than 60 lines, stands in that file."""
    names = {path: module_name(path) for path in MODULES}
    readers = {name: set() for name in names.values()}
    for path in MODULES:
        for name in {name.rpartition(".")[0] for name in imports_of(path)} | imports_of(path):
            if name in readers and name != names[path]:
                readers[name].add(path)
    crumbs = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.name != "__init__.py"
        and not str(path.relative_to(ROOT)).startswith(PLUG_INS)
        and len(path.read_text().splitlines()) < 60
        and len(readers[names[path]]) == 1
    ]
    assert not crumbs


def module_name(path: Path) -> str:
    if path.is_relative_to(ROOT / "flows"):
        return f"daycast.flows.{path.stem}"
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
