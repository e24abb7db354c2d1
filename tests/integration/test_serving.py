"""What a judgement decides is what is served: fallbacks make their forecasts, and the champion is judged as it serves."""

import json
import logging
import re
import shutil
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.errors import ModelError
from daycast.evaluation.promotion import CHAMPION, Decision, decide_on_holdout
from daycast.evaluation.serving import Fallback
from daycast.model.checkpoint import read_header, read_tensors, write_tensors
from daycast.report.model_card import render_model
from daycast.settings import Settings
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.publish import publish_tables, write_report
from daycast.steps.registry import describe_model, list_models, promote, rollback, show_model
from daycast.times import DAY, HOUR
from daycast.warehouse.models import read_champion, read_fallbacks
from daycast.warehouse.observations import read_extent, read_stations, read_versions
from daycast.warehouse.publish.query import query_published

pytestmark = pytest.mark.slow

RAIN, WARMTH = "precipitation_mm", "air_temperature_c"
KEY = ["station_id", "variable", "lead_hours"]


def execute(settings: Settings, now: datetime, text: str, **parameters: object) -> list[tuple]:
    with settings.warehouse.write(now) as con:
        return con.execute(text, parameters or None).fetchall()


def serve(settings: Settings, now: datetime, *places: tuple[str, str | None, str]) -> None:
    """Let these (variable, station, forecaster) serve in the champion's place, and nobody else."""
    execute(settings, now, "delete from fallbacks")
    for variable, station, forecaster in places:
        execute(
            settings,
            now,
            "insert into fallbacks select model_id, $variable, $station, $forecaster, 0.9, 0.98, 50 from champion",
            variable=variable,
            station=station,
            forecaster=forecaster,
        )


def make_champion(settings: Settings, now: datetime, forecaster: str) -> None:
    execute(settings, now, "update models set forecaster = $name where role = 'champion'", name=forecaster)


def copy_champion(settings: Settings, now: datetime, changes: str) -> None:
    """Register a model `other`: the champion, but for these changes."""
    changed = f"select * replace ('other' as model_id, {changes}) from models where role = 'champion'"
    execute(settings, now, f"insert into models by name {changed}")


def issued(settings: Settings, now: datetime) -> pl.DataFrame:
    return issue_forecasts(settings, now).drop("created_at").sort(KEY)


def test_each_forecast_is_made_by_whoever_serves_that_variable_there_and_says_so(trained) -> None:
    settings, now = trained.settings, trained.at
    alone = {}
    for name in ("gru", "ridge", "climatology"):
        make_champion(settings, now, name)
        serve(settings, now)
        alone[name] = issued(settings, now)
        assert alone[name]["forecaster"].unique().to_list() == [name]
    make_champion(settings, now, "gru")
    serve(settings, now, (RAIN, None, "ridge"), (RAIN, "S0002", "climatology"), (WARMTH, "S0003", "ridge"))
    mixed = issued(settings, now)
    who = {row[:2]: row[2] for row in mixed.select("station_id", "variable", "forecaster").unique().rows()}
    expected = {(f"S000{i}", RAIN): "ridge" for i in range(1, 5)} | {(f"S000{i}", WARMTH): "gru" for i in range(1, 5)}
    assert who == expected | {("S0002", RAIN): "climatology", ("S0003", WARMTH): "ridge"}
    for name, theirs in alone.items():
        assert_frame_equal(
            mixed.filter(pl.col("forecaster") == name),
            theirs.join(mixed.filter(pl.col("forecaster") == name).select(KEY), on=KEY, how="semi"),
            check_exact=True,
        )


def test_a_station_asked_for_alone_is_forecast_with_its_neighbours(trained) -> None:
    everyone = (
        issue_forecasts(trained.settings, trained.at).drop("created_at").sort("station_id", "variable", "lead_hours")
    )
    one = everyone["station_id"][0]
    alone = issue_forecasts(trained.settings, trained.at, stations=[one]).drop("created_at")
    assert_frame_equal(
        alone.sort("station_id", "variable", "lead_hours"), everyone.filter(pl.col("station_id") == one), abs_tol=1e-4
    )


def test_the_tables_say_who_made_each_forecast(trained) -> None:
    settings, now = trained.settings, trained.at
    serve(settings, now, (RAIN, None, "ridge"))
    issue_forecasts(settings, now)
    publish_tables(settings, now)
    query = "select distinct variable, forecaster from latest_forecasts order by all"
    assert query_published(settings.published, query).rows() == [(WARMTH, "gru"), (RAIN, "ridge")]
    assert query_published(settings.published, "from fallbacks").select("variable", "forecaster").rows() == [
        (RAIN, "ridge")
    ]


@pytest.fixture
def again(trained):
    """The settings, with the champion's checkpoint under another name, so that the same fit can challenge it."""
    settings = trained.settings
    (path,) = settings.checkpoints.glob("*.safetensors")
    shutil.copyfile(path, path.with_stem("former"))
    execute(settings, trained.at, "update models set checkpoint = 'former.safetensors'")
    return settings, path, trained.at


def test_a_champion_is_judged_as_it_serves_on_the_very_windows_of_its_challenger(again) -> None:
    settings, path, now = again
    serve(settings, now, (RAIN, None, "ridge"))
    decision, scores = evaluate_holdout(settings, path, now)

    def of(name: str, variable: str) -> pl.DataFrame:
        return scores.filter(pl.col("forecaster") == name, pl.col("variable") == variable).drop("forecaster")

    assert_frame_equal(of(CHAMPION, WARMTH), of("gru", WARMTH), check_exact=True)
    assert_frame_equal(of(CHAMPION, RAIN), of("ridge", RAIN), check_exact=True)
    same = decision.by_variable[WARMTH][CHAMPION]
    assert (same.crps_ratio, same.expected_gain, same.chance) == (1.0, 0.0, 0.5)
    better_in_rain = decision.by_variable[RAIN][CHAMPION].expected_gain > 0
    assert not decision.promoted or decision.winner != "gru" or better_in_rain  # never for being itself


def test_a_champion_that_cannot_be_read_any_more_does_not_stop_a_judgement(again, caplog) -> None:
    settings, path, now = again
    path.with_stem("former").unlink()
    caplog.set_level(logging.WARNING, "daycast")
    decision, scores = evaluate_holdout(settings, path, now)
    assert CHAMPION not in decision.rivals
    assert CHAMPION not in scores["forecaster"]
    assert decision.promoted
    assert "takes no part in the evaluation on the holdout: there is no checkpoint" in caplog.text


def test_the_decision_knows_the_usual_scores_and_how_much_more_history_there_is(
    again, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, path, now = again
    former = path.with_stem("former")
    tensors, notes = read_tensors(former)
    half = datetime.fromisoformat(notes["refreshed_until"])
    with settings.warehouse.read(now) as con:
        first, _ = read_extent(con, now, read_stations(con))
    half = first + (half - first) / 2
    write_tensors(former, tensors, {**notes, "refreshed_until": half.isoformat()})
    told = []

    def decide(*arguments: object) -> Decision:
        told.append(arguments)
        return decide_on_holdout(*arguments)

    monkeypatch.setattr("daycast.steps.evaluate.decide_on_holdout", decide)
    evaluate_holdout(settings, path, now)
    *_, usual, more_history = told[0]
    assert usual == pytest.approx(0.5 * np.array(read_header(path).departures))
    assert usual.min() > 0
    assert more_history == pytest.approx(np.log(2), rel=1e-3)


def test_the_days_of_a_judgement_add_up_to_its_scores(again) -> None:
    """The mean over all forecasts, by lead as by day, within the single precision of the sums."""
    from daycast.evaluation.serving import assign
    from daycast.model.checkpoint import load_checkpoint
    from daycast.quality.flags import keep_usable
    from daycast.steps.evaluate import evaluate_daily, open_block

    settings, path, now = again
    with settings.warehouse.write(now) as con:
        versions = keep_usable(read_versions(con, now - 14 * DAY, now, now), list(settings.glossary))
        stations = read_stations(con)
    forecaster = load_checkpoint(path, "cpu")
    block = open_block(forecaster, versions, stations, every=5)
    ids = stations["station_id"].sort().to_list()
    scores, daily = evaluate_daily(block, forecaster, {"x": assign("ridge", (), ids, forecaster.header.targets)})
    for v, name in enumerate(forecaster.header.targets):
        rows = scores.filter(pl.col("variable") == name)
        assert daily["x"].count[..., v].sum() == rows["n"].sum()
        assert daily["x"].total[..., v].sum() == pytest.approx((rows["crps"] * rows["n"]).sum(), rel=1e-5)
    first, last = block.since, block.until - HOUR
    assert daily["x"].total.shape == (4, (last.date() - first.date()).days + 1, 2)
    issues = {block.windows.panel.time_of(int(origin)).date() for origin in block.origins}
    with_scores = np.nonzero(daily["x"].count.sum(axis=(0, 2)))[0]
    assert {first.date() + DAY * int(day) for day in with_scores} == issues


def test_what_a_judgement_found_is_registered_with_the_model(trained) -> None:
    settings, now = trained.settings, trained.at
    with settings.warehouse.write(now) as con:
        champion = read_champion(con)
        kept = read_fallbacks(con, champion.model_id)
    decision = json.loads(champion.decision)
    assert [Fallback(**one) for one in decision["fallbacks"]["gru"]] == list(kept)
    assert set(decision["rivals"]) == {"persistence", "same_hour_yesterday", "climatology", "base", "ridge"}
    assert all({"crps_ratio", "expected_gain", "chance", "days"} <= set(one) for one in decision["rivals"].values())
    assert set(decision["by_variable"]) == {WARMTH, RAIN}


def test_a_model_is_shown_to_people_and_to_machines_with_the_same_numbers(trained) -> None:
    settings, now = trained.settings, trained.at
    serve(settings, now, (RAIN, None, "ridge"), (WARMTH, "S0003", "climatology"))
    model_id = list_models(settings, now).filter(pl.col("role") == "champion")["model_id"].item()
    shown = show_model(settings, model_id, now)
    json.dumps(shown, default=str)
    text = render_model(describe_model(settings, model_id, now), 120)
    ridge = shown["decision"]["rivals"]["ridge"]
    assert re.search(rf"ridge regression +×{ridge['crps_ratio']:.3f} +[<>]? ?\d+ % +{ridge['days']} ", text)
    assert "by hand, whatever the holdout says" in text
    assert "on 4 stations up to" in text
    assert re.search(r"Refreshed +with all hours up to 2026-02-05 \d\d:00 UTC, before it served", text)
    assert re.search(r"air temperature .* itself, except 1 station", text)
    assert "precipitation is served by ridge regression (CRPS ×0.900, chance 98 %, 50 days)" in text
    assert "air temperature at S0003 is served by climatology" in text
    assert max(map(len, text.splitlines())) <= 120
    warmth = pl.DataFrame(shown["holdout"]).filter(pl.col("forecaster") == "gru", pl.col("variable") == WARMTH)
    at_24 = warmth.filter(pl.col("lead_hours") == 24)["mae"].item()
    assert re.search(rf"air temperature .* {at_24:.3g}\n", text)


def test_the_page_tells_the_judgement_and_who_serves_in_place(trained) -> None:
    serve(trained.settings, trained.at, (RAIN, None, "ridge"))
    page = write_report(trained.settings, trained.at).read_text()
    assert ", by hand" in page
    assert "Where a baseline is expected to be better it serves: precipitation is served by ridge regression" in page
    assert re.search(r"all variables</td>\s*<td class=\"number\">\s*<span[^>]*>×\d\.\d{3} \(", page)


def test_promoting_and_rolling_back_say_what_happened_and_keep_the_judgement(trained) -> None:
    settings, now = trained.settings, trained.at
    copy_champion(settings, now, "'challenger' as role, null as promoted_at")
    before = dict(list_models(settings, now).select("role", "model_id").rows())["champion"]
    reason = list_models(settings, now).filter(pl.col("model_id") == "other")["reason"].item()
    change = str(promote(settings, "other", now + HOUR))
    assert change.startswith(f"other is champion in place of {before} (`daycast models rollback` undoes this): by hand")
    assert reason in change
    row = list_models(settings, now).filter(pl.col("model_id") == "other").to_dicts()[0]
    assert (row["role"], row["promoted_by"], row["reason"]) == ("champion", "hand", reason)
    assert str(promote(settings, "other", now + 2 * HOUR)) == "other is champion: it was already, nothing is changed"
    back = str(rollback(settings, now + 3 * HOUR))
    assert back.startswith(f"{before} is champion in place of other")
    assert f"since {now:%Y-%m-%d %H:%M} UTC" in back
    roles = dict(list_models(settings, now).select("model_id", "promoted_by").rows())
    assert (roles[before], roles["other"]) == ("rollback", "hand")


def test_a_model_without_its_checkpoint_cannot_serve(trained) -> None:
    settings, now = trained.settings, trained.at
    later = f"'{now + HOUR}'::timestamptz as promoted_at"
    copy_champion(settings, now, f"'gone.safetensors' as checkpoint, 'retired' as role, {later}")
    for action in (lambda: promote(settings, "other", now), lambda: rollback(settings, now)):
        with pytest.raises(ModelError, match=r"other cannot serve: there is no checkpoint .*gone\.safetensors"):
            action()
    assert execute(settings, now, "select count(*) from champion where model_id <> 'other'") == [(1,)]
    assert "there is no checkpoint" in render_model(describe_model(settings, "other", now), 100)
