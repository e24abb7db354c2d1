"""Served forecasts against what came: every score can be worked out from the tables by hand."""

import math
from datetime import date, datetime, timedelta
from itertools import chain
from statistics import fmean

import polars as pl
import pytest

from daycast.errors import ConfigError, ModelError, NotEnoughDataError
from daycast.settings import Settings
from daycast.sources.batch import READING_KEYS
from daycast.steps import verify
from daycast.steps.backtest import backtest
from daycast.steps.forecast import issue_forecasts, plan_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR
from daycast.warehouse.forecasts import replace_scores
from integration.by_hand import ByHand, by_hand
from unit.evaluation.test_scores import oracle, sharpness_oracle

pytestmark = pytest.mark.slow


def rows_of(settings: Settings, now, query: str) -> list[tuple]:
    with settings.warehouse.write(now) as con:
        return con.execute(query).fetchall()


@pytest.fixture
def verified(trained):
    """The settings and the clock, two days after training, with two issues served and verified."""
    for hours in (0, 5):
        now = trained.at + hours * HOUR
        ingest_source(trained.settings, trained.settings.sources[0], now)
        issue_forecasts(trained.settings, now)
    later = trained.at + 2 * DAY
    ingest_source(trained.settings, trained.settings.sources[0], later)
    assert verify_forecasts(trained.settings, later) > 4 * 2 * 24
    return trained.settings, later


def test_the_scores_are_those_of_the_forecasts_and_observations_in_the_tables(verified) -> None:
    settings, now = verified
    errors = rows_of(
        settings,
        now,
        "select station_id, variable, lead_hours, valid_at::date, error from forecast_errors where observed is not null",
    )
    by_row: dict[tuple, list[float]] = {}
    for *key, error in errors:
        by_row.setdefault(tuple(key), []).append(error)
    scores = rows_of(
        settings,
        now,
        "select station_id, variable, lead_hours, valid_on, n, mae, rmse, bias from scores where forecaster = 'gru'",
    )
    assert len(scores) == len(by_row)
    for *key, n, mae, rmse, bias in scores:
        mine = by_row[tuple(key)]
        assert n == len(mine)
        assert mae == pytest.approx(sum(map(abs, mine)) / n, abs=1e-9)
        assert rmse == pytest.approx(math.sqrt(sum(e * e for e in mine) / n), abs=1e-9)
        assert bias == pytest.approx(sum(mine) / n, abs=1e-9)


def test_crps_pinball_coverage_and_width_are_those_of_the_quantiles_in_the_tables(verified) -> None:
    settings, now = verified
    columns = "observed, q05, q10, q25, q50, q75, q90, q95"
    key = "station_id, variable, lead_hours"
    by_cell: dict[tuple, list[dict[str, float]]] = {}
    for row in rows_of(
        settings, now, f"select {key}, valid_at::date, {columns} from forecast_errors where observed is not null"
    ):
        one = oracle(list(row[5:]), row[4]) | sharpness_oracle(list(row[5:]), row[4])
        by_cell.setdefault(row[:4], []).append(one)
    names = ("crps", "pinball", *(f"{kind}_{share}" for kind in ("coverage", "width") for share in (50, 80, 90)))
    scores = rows_of(settings, now, f"select {key}, valid_on, {', '.join(names)} from scores where forecaster = 'gru'")
    assert len(scores) == len(by_cell)
    for row in scores:
        expected = [fmean(one[name] for one in by_cell[row[:4]]) for name in names]
        assert row[4:] == pytest.approx(expected, abs=1e-9)


def test_the_baselines_are_scored_beside_the_champion_on_the_same_rows(verified) -> None:
    settings, now = verified
    counts = rows_of(settings, now, "select forecaster, sum(n) from scores group by all")
    assert {name for name, _ in counts} == {"gru", "base", "ridge", "persistence", "same_hour_yesterday", "climatology"}
    assert len({n for _, n in counts}) == 1


def test_verifying_again_without_news_scores_nothing(verified) -> None:
    settings, now = verified
    before = rows_of(settings, now, "from scores order by all")
    assert verify_forecasts(settings, now) == 0
    assert rows_of(settings, now, "from scores order by all") == before


def assert_alike(found: list[tuple], expected: list[tuple]) -> None:
    """The same rows but for rounding: a network's forecast depends a little on how many it makes at a time."""
    assert len(found) == len(expected)
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        is_number = isinstance(one, float) and isinstance(other, float)
        assert math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-4) if is_number else one == other


def test_scores_do_not_depend_on_how_many_stations_are_scored_at_a_time(verified, copy_of, monkeypatch):
    settings, now = verified
    before = rows_of(settings, now, "select * exclude (scored_at) from scores order by all")
    by_station = copy_of(settings, "by_station")
    with by_station.warehouse.write(now) as con:
        con.execute("delete from scores")
        con.execute("delete from verifications")
    parts = []

    def noted(con, scored, station_days):
        parts.append(set(station_days["station_id"]))
        replace_scores(con, scored, station_days)

    monkeypatch.setattr("daycast.steps.verify._ROWS_AT_ONCE", 1)
    monkeypatch.setattr("daycast.steps.verify.replace_scores", noted)
    assert verify_forecasts(by_station, now) > 0
    assert len(parts) > 1
    assert all(len(part) == 1 for part in parts)
    assert_alike(rows_of(by_station, now, "select * exclude (scored_at) from scores order by all"), before)


def test_a_large_network_is_verified_in_turns_and_those_that_wait_longest_come_first(verified, copy_of, monkeypatch):
    settings, now = verified
    scores = "select * exclude (scored_at) from scores order by all"
    before = rows_of(settings, now, scores)
    in_turns, turns = copy_of(settings, "in_turns"), []
    with in_turns.warehouse.write(now) as con:
        con.execute("delete from scores")
        con.execute("delete from verifications")

    def noted(con, scored, station_days):
        turns[-1] |= set(station_days.select("station_id", "day").iter_rows())
        replace_scores(con, scored, station_days)

    def verify(at) -> set:
        turns.append(set())
        verify_forecasts(in_turns, at)
        left = rows_of(in_turns, at, "select station_id, day from unverified_days")
        assert not turns[-1] & set(left)
        return set(left)

    monkeypatch.setattr("daycast.steps.verify.replace_scores", noted)
    monkeypatch.setattr("daycast.steps.verify._AT_ONCE", 1)
    monkeypatch.setattr("daycast.steps.verify._TURNS", 4)
    left = verify(now)
    changed = min(turns[0])
    with in_turns.warehouse.write(now) as con:  # its day is scored already, and waits again, behind the others
        con.execute(
            "update observation_versions set known_from = $3 where station_id = $1 and observed_at::date = $2 "
            "and observed_at > (select max(issued_at) from forecasts)",  # no forecast knew it
            [*changed, now + HOUR],
        )
    assert changed in verify(now + 2 * HOUR)
    assert turns[1] < left
    while verify(now + 3 * HOUR):
        pass
    assert changed in set.union(*turns[2:])
    assert_alike(rows_of(in_turns, now, scores), before)
    assert verify_forecasts(in_turns, now + 3 * HOUR) == 0


def test_days_with_few_forecasts_have_their_turns_as_well():
    stations = [f"s{number}" for number in range(10_000)]
    due = pl.DataFrame({"station_id": stations, "day": [date(2026, 1, 1)] * len(stations), "rows": [1] * len(stations)})
    chosen, left = verify._take_turns(due)
    assert len(chosen) == -(-10_000 // 24)
    assert chosen.vstack(left).equals(due)


def test_days_that_wait_are_not_forgotten_by_a_verification_whose_clock_is_behind(verified, copy_of, monkeypatch):
    settings, now = verified
    scores = "select * exclude (scored_at) from scores order by all"
    before = rows_of(settings, now, scores)
    behind = copy_of(settings, "behind")
    with behind.warehouse.write(now) as con:
        con.execute("delete from scores")
        con.execute("delete from verifications")
    monkeypatch.setattr("daycast.steps.verify._AT_ONCE", 1)
    monkeypatch.setattr("daycast.steps.verify._TURNS", 4)
    verify_forecasts(behind, now)
    waiting = set(rows_of(behind, now, "select station_id, day from unverified_days"))
    last = max(day for _, day in waiting)
    evening_before = now - 38 * HOUR  # by then a part of the readings had come, and the last day had not begun
    verify_forecasts(behind, evening_before)
    still = set(rows_of(behind, now, "select station_id, day from unverified_days"))
    assert {one for one in waiting if one[1] == last} <= still
    with behind.warehouse.write(now) as con:  # such a day has no forecasts any more
        con.execute("insert into unverified_days values ('gone', '1999-12-31', $1)", [now])
    while rows_of(behind, now, "from unverified_days"):
        verify_forecasts(behind, now + HOUR)
    assert_alike(rows_of(behind, now, scores), before)


def test_many_days_are_scored_a_few_at_a_time_and_a_killed_verification_is_made_up_for(trained, copy_of, monkeypatch):
    settings, days = trained.settings, 6
    for day in range(days):
        now = trained.at + day * DAY
        ingest_source(settings, settings.sources[0], now)
        issue_forecasts(settings, now)
    later = trained.at + days * DAY
    ingest_source(settings, settings.sources[0], later)
    at_once, interrupted = copy_of(settings, "at_once"), copy_of(settings, "interrupted")
    count = verify_forecasts(at_once, later)

    monkeypatch.setattr("daycast.steps.verify._DAYS_AT_ONCE", 2)
    pieces = []

    def killed(con, scored, station_days):
        if pieces:
            raise InterruptedError
        pieces.append(station_days)
        replace_scores(con, scored, station_days)

    with monkeypatch.context() as patched:
        patched.setattr("daycast.steps.verify.replace_scores", killed)
        with pytest.raises(InterruptedError):
            verify_forecasts(interrupted, later)
    assert 1 <= pieces[0]["day"].n_unique() <= 2
    assert verify_forecasts(interrupted, later + HOUR) == count
    scores = "select * exclude (scored_at) from scores order by all"
    assert_alike(rows_of(interrupted, later, scores), rows_of(at_once, later, scores))
    assert verify_forecasts(interrupted, later + HOUR) == 0


def test_a_correction_is_scored_anew(verified) -> None:
    settings, now = verified
    station, hour = rows_of(
        settings, now, "select station_id, max(valid_at) from forecast_errors group by all order by all"
    )[0]
    with settings.warehouse.write(now) as con:
        keys = {"station": station, "hour": hour, "now": now + HOUR}
        where = "where station_id = $station and observed_at = $hour and known_until is null"
        con.execute(
            f"create temp table corrected as from observation_versions {where}",
            {k: keys[k] for k in ("station", "hour")},
        )
        con.execute(f"update observation_versions set known_until = $now {where}", keys)
        con.execute(
            "update corrected set air_temperature_c = air_temperature_c + 100, known_from = $now", {"now": keys["now"]}
        )
        con.execute("insert into observation_versions from corrected")
    worst = "select max(mae) from scores where variable = 'air_temperature_c'"
    before = rows_of(settings, now, worst)[0][0]
    assert verify_forecasts(settings, now + 2 * HOUR) > 0
    assert before < 30 < rows_of(settings, now, worst)[0][0]


def test_a_re_run_replaces_its_own_forecasts(verified) -> None:
    settings, now = verified
    query = "select * exclude (created_at, backfilled) from forecasts order by all"
    before = rows_of(settings, now, query)
    issue_forecasts(settings, now, issued_at=(now - 2 * DAY).replace(minute=0))
    assert rows_of(settings, now, query) == before


def test_a_forecast_can_be_asked_for_some_stations_alone(trained) -> None:
    rows = issue_forecasts(trained.settings, trained.at, stations=["S0002"])
    assert rows["station_id"].unique().to_list() == ["S0002"]
    with pytest.raises(ConfigError, match="there is no station 'S9'; there are: S0001"):
        issue_forecasts(trained.settings, trained.at, stations=["S9"])


@pytest.mark.parametrize("offset", [timedelta(hours=1), timedelta(minutes=-30)])
def test_a_forecast_is_issued_at_full_hours_that_have_been(trained, offset: timedelta) -> None:
    with pytest.raises(ConfigError, match="cannot be an hour of issue"):
        issue_forecasts(trained.settings, trained.at, issued_at=trained.at.replace(minute=0) + offset)


def test_without_a_reading_in_the_week_before_there_is_no_forecast(trained) -> None:
    with pytest.raises(NotEnoughDataError, match="no station reported in the 168 hours"):
        issue_forecasts(trained.settings, trained.at + 9 * DAY)


def test_a_backtest_scores_every_forecaster_on_the_same_windows_and_warns_of_hours_it_was_fitted_on(trained) -> None:
    until = trained.at.replace(minute=0)
    scores, warning = backtest(trained.settings, until - 3 * DAY, until, 12 * HOUR, trained.at)
    assert warning is None
    assert scores["model"].n_unique() == 6
    windows = scores.group_by("variable", "lead_hours").agg(pl.col("n").unique(), pl.col("n").count().alias("models"))
    assert (windows["n"].list.len() == 1).all()
    assert (windows["models"] == 6).all()
    _, warning = backtest(trained.settings, until - 30 * DAY, until, 48 * HOUR, trained.at)
    assert "flatter it" in warning


@pytest.mark.parametrize(
    ("since", "until", "every"), [(0, 0, HOUR), (-24, -48, HOUR), (-24, 0, timedelta(minutes=90)), (-24.5, 0, HOUR)]
)
def test_a_span_that_cannot_be_backtested_is_refused(trained, since: float, until: float, every: timedelta) -> None:
    hour = trained.at.replace(minute=0)
    with pytest.raises(ConfigError):
        backtest(trained.settings, hour + since * HOUR, hour + until * HOUR, every, trained.at)


def test_a_backtest_of_an_unknown_model_names_those_there_are(trained) -> None:
    hour = trained.at.replace(minute=0)
    with pytest.raises(ModelError, match="there is no model 'x'; registered are: "):
        backtest(trained.settings, hour - DAY, hour, HOUR, trained.at, model_id="x")


def test_a_reading_that_came_late_but_states_no_receipt_is_scored_too(trained) -> None:
    """A day's file that arrives a day later: what it is assumed to have been received at lies before the last scoring."""
    settings, t0 = trained.settings, trained.at.replace(minute=0)
    later = trained.at + 3 * DAY
    issue_forecasts(settings, trained.at)
    hours = [t0 + lead * HOUR for lead in range(1, 25)]

    def file(*of: datetime) -> ByHand:
        rows = [("S0001", hour, hour, 5.0) for hour in of]
        schema = {**READING_KEYS, "air_temperature_c": pl.Float64()}
        return ByHand((by_hand(pl.DataFrame(rows, schema=schema, orient="row"), receipt="assumed"),))

    ingest_source(settings, file(*hours[:3]), later)
    assert verify_forecasts(settings, later) == 3
    ingest_source(settings, file(*hours), later + HOUR)
    assert verify_forecasts(settings, later + HOUR) == 24


def test_what_was_served_is_not_replaced_by_what_comes_too_late(trained) -> None:
    settings, now = trained.settings, trained.at
    t0 = now.replace(minute=0)
    query = "select * from forecasts order by all"
    issue_forecasts(settings, now)
    served = rows_of(settings, now, query)
    assert str(plan_forecasts(settings, now + 3 * HOUR, issued_at=t0)).endswith("0 rows for 4 stations, 0 replaced")
    assert issue_forecasts(settings, now + 3 * HOUR, issued_at=t0).is_empty()
    assert rows_of(settings, now, query) == served
    issue_forecasts(settings, now)  # in time, and so in its place
    assert [row[:5] for row in rows_of(settings, now, query)] == [row[:5] for row in served]
