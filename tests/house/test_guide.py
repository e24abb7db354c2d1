"""README and guide hold together: links lead somewhere, configurations load, commands parse, examples run."""

import argparse
import importlib.util
import json
import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from daycast.__main__ import build_parser
from daycast.cli.guide import ORDER, find_topics
from daycast.errors import ConfigError
from daycast.quality.contracts import readings_contract, validate_frame
from daycast.report.terminal import cells, render_markdown
from daycast.settings import load_settings
from daycast.sources.batch import PROBLEM_SCHEMA
from daycast.variables import BUILT_IN

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "src" / "daycast" / "guide"
PAGES = [ROOT / "README.md", *sorted(GUIDE.glob("*.md"))]
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def blocks(*languages: str) -> list[tuple[str, str]]:
    """The page and the text of each fenced block in one of these languages."""
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```$"
    return [
        (page.stem, text) for page in PAGES for text in re.findall(pattern, page.read_text(), re.DOTALL | re.MULTILINE)
    ]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The headings of a page as a link names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page: Path, target: str) -> None:
    if target.startswith("https://"):
        return
    name, _, anchor = target.partition("#")
    place = (page.parent / name).resolve() if name else page
    assert place.exists()
    assert not anchor or anchor in anchors(place)


def test_make_is_asked_for_targets_that_it_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {line.split()[1] for _, text in blocks("sh") for line in text.splitlines() if line.startswith("make ")}
    assert shown
    assert shown <= targets


WRITTEN_BY_EXAMPLES = {
    "src/daycast/sources/json_lines.py",
    "src/daycast/steps/geojson.py",
    "sql/migrations/NNNN_station_notes.sql",
    "sql/views/station_frost.sql",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`((?:src/daycast|flows|sql|tests|infra)/[\w/.]+\.\w+)`", page.read_text()))
    assert not [name for name in named - WRITTEN_BY_EXAMPLES if not (ROOT / name).exists()]


def test_the_readme_links_every_topic_of_the_guide() -> None:
    linked = {Path(target.partition("#")[0]).stem for page, target in LINKS if page.name == "README.md"}
    assert set(find_topics()) <= linked


@pytest.mark.parametrize(("page", "text"), blocks("toml"), ids=lambda value: value.splitlines()[0])
def test_a_configuration_that_is_shown_loads(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "daycast.toml").write_text(text)
    load_settings(str(tmp_path / "daycast.toml"))


def shown_commands() -> list[list[str]]:
    """The arguments of every daycast command in a block of shell or of a console."""
    found = []
    for _, text in blocks("sh", "console"):
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and Path(words[0]).name == "daycast" and "--help" not in words:
                found.append(words[1:])
    return found


@pytest.mark.parametrize("arguments", shown_commands(), ids=" ".join)
def test_a_command_that_is_shown_is_one_that_there_is(arguments: list[str]) -> None:
    assert build_parser().parse_args(arguments).command


def test_the_topics_are_those_that_are_agreed_and_each_begins_with_its_title() -> None:
    topics = find_topics()
    assert tuple(topics)[: len(ORDER)] == ORDER
    assert all(path.read_text().startswith("# ") for path in topics.values())


def test_without_a_topic_the_topics_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run_guide()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(ORDER)]] == list(ORDER)
    assert lines[0].endswith("Sources: where readings come from")


def test_an_unknown_topic_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^the guide has no topic 'qualty' \(did you mean 'quality'\?\)$"):
        run_guide("qualty")
    with pytest.raises(ConfigError, match="'xyz': there are sources, databases, quality"):
        run_guide("xyz")


def run_guide(*arguments: str) -> None:
    args: argparse.Namespace = build_parser().parse_args(["guide", *arguments])
    args.command(args)


@pytest.mark.parametrize("topic", find_topics())
@pytest.mark.parametrize("width", [40, 80])
def test_a_topic_fits_the_width_of_the_terminal(topic: str, width: int) -> None:
    text = render_markdown((GUIDE / f"{topic}.md").read_text(), width, color=False)
    assert max(map(cells, text.splitlines())) <= width
    assert "\x1b" not in text
    assert "\x1b[" in render_markdown((GUIDE / f"{topic}.md").read_text(), width, color=True)


def test_on_a_pipe_a_topic_is_the_plain_text_of_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    run_guide("quality")
    assert capsys.readouterr().out == (GUIDE / "quality.md").read_text()


def test_on_a_terminal_a_topic_is_laid_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    run_guide("quality")
    assert capsys.readouterr().out == render_markdown((GUIDE / "quality.md").read_text(), 60, color=False)


# The examples of extending.md.


def load_example(beginning: str, folder: Path) -> ModuleType:
    """The Python block with this docstring as a module."""
    (text,) = (text for page, text in blocks("python") if page == "extending" and text.startswith(f'"""{beginning}'))
    assert len(text.splitlines()) <= 60
    path = folder / "example.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_source_of_the_guide_delivers_what_the_contract_asks_for(tmp_path: Path) -> None:
    rows = [
        {"station": "roof", "time": "2026-01-01T00:00:00+00:00", "air_temperature_c": 1.5, "battery": 3.7},
        {"station": "roof", "time": "noon", "air_temperature_c": 2.0, "battery": 3.7},
        {"station": "roof", "time": "2027-01-01T00:00:00Z", "air_temperature_c": 3.0, "battery": 3.7},
    ]
    (tmp_path / "roof.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = load_example("Readings in a JSON Lines file", tmp_path).JsonLinesSource.model_validate(
        {"file": "roof.jsonl"}, context={"folder": tmp_path}
    )
    (batch,) = source.fetch(None, NOW, BUILT_IN, ())
    assert not batch.complete
    assert batch.raw["time"].to_list() == ["2026-01-01T00:00:00+00:00", "noon"]
    assert batch.problems.schema == pl.Schema(PROBLEM_SCHEMA)
    assert batch.problems.rows() == [(1, "time", "noon", "no ISO 8601 time")]
    good = batch.readings.filter(pl.col("observed_at").is_not_null())
    validate_frame(good, readings_contract(BUILT_IN.values(), datetime(1900, 1, 1, tzinfo=UTC)), "readings")
    assert good["air_temperature_c"].to_list() == [1.5]
    assert not list(source.fetch(None, NOW, BUILT_IN, {batch.fingerprint}))


def test_the_output_of_the_guide_is_geojson(tmp_path: Path) -> None:
    row = {"station_id": "A", "longitude": 8.5, "latitude": 47.4, "valid_at": NOW, "air_temperature_c": -2.5}
    made = load_example("The newest forecasts as GeoJSON", tmp_path).to_geojson(pl.DataFrame([row]))
    assert json.loads(json.dumps(made)) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [8.5, 47.4]},
                "properties": {"station_id": "A", "valid_at": "2026-02-01T00:00:00+00:00", "air_temperature_c": -2.5},
            }
        ],
    }
