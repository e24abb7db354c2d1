"""Every view, macro and query that is shown gives the same answers in each DuckDB from 1.1 to 2.0, opened and attached.

Each version is installed for the test, from the package index. Where it cannot be reached, name a folder of environments in
DAYCAST_DUCKDB_ENVIRONMENTS (VERSION/bin/python, with duckdb of that version and pytz); otherwise the version is skipped.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from daycast.warehouse.publish.publication import PUBLIC_TABLES
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.statements import sql_folder
from integration import duckdb_client, young_network
from integration.made_once import made_once
from integration.test_guide_sql import shown_queries
from integration.young_network import TARGETS, publish_young_network

pytestmark = pytest.mark.slow

VERSIONS = ("1.1.3", "1.2.2", "1.3.2", "1.4.0", "1.4.1", "1.4.5", "1.5.0", "1.5.6", "2.0.1")
ENVIRONMENTS = "DAYCAST_DUCKDB_ENVIRONMENTS"
KINDS = {"one file": 5_000_000, "with a history in Parquet": 1}  # publish.parquet_above
LIMITS = {"air_temperature_c": (0, -30.5, 0.05), "precipitation_mm": (0, 0.05), "wind_speed_m_s": (17.2, "3::float")}
MOMENT = "'2026-02-07T10:00:00Z'"


def questions() -> dict[str, dict[str, str]]:
    """The queries by kind and name; {at} and {attached_as} are as in `duckdb_client`."""
    folder = sql_folder()
    tables = [*PUBLIC_TABLES, *(path.stem for path in sorted((folder / "views").glob("*.sql")))]
    risks = {f"threshold_risk {name} {limit}": (name, limit) for name in TARGETS for limit in LIMITS[name]}
    by_time = ("forecasts_issued", "observations_as_of")
    shown = [query for _, query in shown_queries() if "create " not in query]
    cookbook = {path.stem: path.read_text() for path in sorted((folder / "cookbook").glob("*.sql"))}
    return {
        "views": {name: f"from {{at}}{name} order by all" for name in tables},
        "macros": {
            **{key: f"from {{at}}threshold_risk('{v}', {limit}{{attached_as}})" for key, (v, limit) in risks.items()},
            **{name: f"from {{at}}{name}({MOMENT}{{attached_as}}) order by all" for name in by_time},
        },
        "cookbook": cookbook | {f"shown {number}": query for number, query in enumerate(shown)},
    }


def ask(command: list[str], environment: dict[str, str], path: Path) -> dict:
    """What a client answers to all questions."""
    done = subprocess.run(
        [*command, duckdb_client.__file__, str(path)], env={**os.environ, **environment},
        input=json.dumps(questions()), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=KINDS)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, above = f"duckdb_versions_{KINDS[request.param]}", KINDS[request.param]
    folder = made_once(tmp_path_factory, name, lambda draft: publish_young_network(draft, parquet_above=above))
    return folder / "data" / "published.duckdb"


@pytest.fixture(scope="module")
def expected(published: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the installed DuckDB answers to the opened file."""
    return ask([sys.executable], {}, published)["ways"]["opened"]


@pytest.fixture(scope="session")
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a Python that has the DuckDB of the version asked for."""
    version = request.param
    if folder := os.environ.get(ENVIRONMENTS):
        python = Path(folder) / version / "bin" / "python"
        if not python.is_file():
            pytest.skip(f"no {python}, although {ENVIRONMENTS} is set")
        return [str(python)], {"PYTHONPATH": ""}
    target = tmp_path_factory.mktemp(f"duckdb-{version}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--target", str(target), f"duckdb=={version}", "pytz"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(
            f"DuckDB {version} cannot be installed ({done.stderr.strip().splitlines()[-1]}); see {ENVIRONMENTS}"
        )
    return [sys.executable], {"PYTHONPATH": str(target)}


@pytest.mark.parametrize("client", VERSIONS, indirect=True)
def test_every_answer_is_the_same_in_every_version_opened_and_attached(
    client: tuple[list[str], dict[str, str]], published: Path, expected: dict, request: pytest.FixtureRequest
) -> None:
    command, environment = client
    answered = ask(command, environment, published)
    assert answered["version"] == request.node.callspec.params["client"]
    wrong = []
    for way, answers in answered["ways"].items():
        for name, rows in answers.items():
            if not same(in_order(name, rows), in_order(name, expected[name.removesuffix(" in a view")])):
                wrong.append(f"{way}: {name}: {str(rows)[:200]}")
        print(f"DuckDB {answered['version']} {way}: {len(answers)} questions")
    assert wrong == []


OTHER = "1.5.6" if duckdb.__version__.startswith("2.") else "2.0.1"
STEP = """
import sys, warnings
from pathlib import Path
import duckdb
from integration import young_network
warnings.simplefilter("error", UserWarning)  # DuckDB 2 tells so what is slow
assert duckdb.__version__ == sys.argv[1], duckdb.__version__
print(getattr(young_network, sys.argv[2])(Path(sys.argv[3])))
"""


@pytest.mark.parametrize("client", [OTHER], indirect=True)
@pytest.mark.parametrize("first", ["here", "there"])
def test_a_warehouse_file_goes_from_one_duckdb_to_the_other(
    client: tuple[list[str], dict[str, str]], first: str, tmp_path: Path
) -> None:
    def there(step: str) -> None:
        paths = (packages_of(client), str(Path(__file__).parents[1]))
        command = [sys.executable, "-c", STEP, OTHER, step, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def here(step: str) -> None:
        getattr(young_network, step)(tmp_path)

    make, go_on = (here, there) if first == "here" else (there, here)
    make("publish_young_network")
    go_on("publish_next_hour")
    make("publish_next_hour")  # the same once more, by the first
    issued = query_published(tmp_path / "data" / "published.duckdb", ISSUED).rows()
    assert issued == [(72, 3), (72, 4), (72, 4), (72, 4), (72, 4), (72, 4)]


ISSUED = """
select count(*) // count(distinct station_id), count(distinct station_id)
from forecasts group by issued_at order by all
"""


def packages_of(client: tuple[list[str], dict[str, str]]) -> str:
    """The folder of packages of a client, for this Python."""
    (python,), environment = client
    if environment["PYTHONPATH"]:
        return environment["PYTHONPATH"]
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(python).parents[1] / "lib" / name / "site-packages"
    if not folder.is_dir():
        pytest.skip(f"{python} is not {name}, with which daycast runs here")
    return str(folder)


def in_order(name: str, rows: object) -> object:
    """The rows of a query of the guide in an order of their own: equal ones by its `order by` come in any."""
    if not name.startswith("shown") or not isinstance(rows, list):
        return rows
    return sorted(rows, key=lambda row: str([round(one, 6) if isinstance(one, float) else one for one in row]))


def same(rows: object, wanted: object) -> bool:
    """Whether two answers are equal, numbers up to rounding."""
    if isinstance(rows, list) and isinstance(wanted, list):
        return len(rows) == len(wanted) and all(map(same, rows, wanted))
    numbers = isinstance(rows, float) and isinstance(wanted, float)
    return math.isclose(rows, wanted, rel_tol=1e-9, abs_tol=1e-9) if numbers else rows == wanted


def test_the_questions_have_answers(expected: dict) -> None:
    """Equal answers prove nothing if they are empty."""
    assert [name for name, rows in expected.items() if not isinstance(rows, list)] == []
    empty = {name for name, rows in expected.items() if not rows and not name.startswith("shown")}
    assert empty <= EMPTY, empty


EMPTY = {
    "retired_stations",
    "external_forecasts",
    "covariates",
    "rejected_readings",
    "fallbacks",
    "substitutes",
    "drifts",
    "drift",
    "runs",
    "gale_ahead",
}
