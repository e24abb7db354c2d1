"""The questions of the cookbook, answered slowly from the bare tables, one row at a time."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from statistics import fmean

Row = dict
LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
QUANTILES = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")
NAIVE = ("persistence", "same_hour_yesterday", "climatology")


def below(row: Row, limit: float) -> float | None:
    """The chance that it is less than the limit; None beyond the outer quantiles."""
    points = [(row[name], level) for name, level in zip(QUANTILES, LEVELS, strict=True)]
    for (low, first), (high, second) in pairwise(points):
        if low < limit <= high:
            return first + (second - first) * (limit - low) / (high - low)
    return None


def below_at_least(row: Row, limit: float) -> float:
    if limit <= row["q05"]:
        return 0
    return 0.95 if limit > row["q95"] else below(row, limit)


def below_text(row: Row, limit: float) -> str:
    if limit <= row["q05"]:
        return "<= 0.05"
    return ">= 0.95" if limit > row["q95"] else f"{below(row, limit):.2f}"


def mirrored(row: Row) -> Row:
    """The forecast of the negative: more than a limit is less than its negative."""
    return {name: -row[other] for name, other in zip(QUANTILES, reversed(QUANTILES), strict=True)}


def above(row: Row, limit: float) -> float | None:
    return below(mirrored(row), -limit)


def above_at_least(row: Row, limit: float) -> float:
    return below_at_least(mirrored(row), -limit)


class SlowAnswers:
    """Every answer is a list of rows, as tuples, in the order in which the query gives them."""

    def __init__(self, **tables: list[Row]) -> None:
        self.forecasts, self.scores, self.models = tables["forecasts"], tables["scores"], tables["models"]
        self.stations = tables["stations"]
        self.observed = {
            (row["station_id"], row["observed_at"]): row
            for row in tables["observation_versions"]
            if row["known_until"] is None
        }
        self.newest = max(row["issued_at"] for row in self.forecasts)

    def latest(self, variable: str | None = None) -> list[Row]:
        last: dict[tuple, object] = {}
        for row in self.forecasts:
            key = (row["station_id"], row["variable"])
            last[key] = max(last.get(key, row["issued_at"]), row["issued_at"])
        rows = [row for row in self.forecasts if row["issued_at"] == last[row["station_id"], row["variable"]]]
        rows.sort(key=lambda row: (row["station_id"], row["variable"], row["lead_hours"]))
        return [row for row in rows if variable in (None, row["variable"])]

    def ahead(self, variable: str) -> dict[str, list[Row]]:
        """The hours that lie ahead of the newest issue, by station."""
        return by((row for row in self.latest(variable) if row["valid_at"] > self.newest), "station_id")

    def errors(self) -> list[Row]:
        """Forecasts beside what came, failed values left out."""
        found = []
        for row in self.forecasts:
            came = self.observed.get((row["station_id"], row["valid_at"]), {})
            value = came.get(row["variable"])
            if value is not None and came[row["variable"] + "_flag"] < 4:
                found.append(row | {"observed": value, "error": row["value"] - value})
        return found

    def served(self, row: Row) -> bool:
        return any((m["model_id"], m["forecaster"]) == (row["model_id"], row["forecaster"]) for m in self.models)

    def frost_tonight(self, limit: float) -> list[tuple]:
        answer = []
        for station, rows in self.ahead("air_temperature_c").items():
            worst = rows[0]
            for row in rows:
                if below_at_least(row, limit) > below_at_least(worst, limit):
                    worst = row
            coldest = min(row["q05"] for row in rows), min(row["value"] for row in rows)
            told = below(worst, limit), below_text(worst, limit), worst["valid_at"]
            answer.append((-below_at_least(worst, limit), station, *told, *coldest))
        return [row for _, *row in sorted(answer)]

    def gale_ahead(self, limit: float) -> list[tuple]:
        return [
            (station, row["valid_at"], above(row, limit), below_text(mirrored(row), -limit))
            for station, rows in self.ahead("wind_speed_m_s").items()
            for row in rows
            if row["q95"] > limit
        ]

    def heat_ahead(self, limit: float) -> list[tuple]:
        answer = []
        for station, rows in self.ahead("air_temperature_c").items():
            hot = [row["valid_at"] for row in rows if above_at_least(row, limit) > 0.5]
            largest = max(above_at_least(row, limit) for row in rows)
            answer.append((station, len(hot), min(hot, default=None), max(hot, default=None), largest))
        return sorted(answer, key=lambda row: (-row[1], -row[4], row[0]))

    def stations_without_forecast(self) -> list[tuple]:
        answer = []
        for station in sorted(row["station_id"] for row in self.stations):
            issues = [row["issued_at"] for row in self.forecasts if row["station_id"] == station]
            heard = [hour for name, hour in self.observed if name == station]
            if not issues or max(issues) < self.newest:
                answer.append((station, max(issues, default=None), max(heard, default=None)))
        return answer

    def yesterday(self) -> list[tuple]:
        day = max(row["valid_on"] for row in self.scores) - timedelta(days=1)
        answer = []
        for variable, rows in sorted(by((row for row in self.scores if row["valid_on"] == day), "variable").items()):
            of = {
                name: [mean(part, "mae"), mean(part, "bias"), mean(part, "coverage_80")]
                for name, part in by(rows, "forecaster").items()
            }
            best = min(NAIVE, key=lambda name: of[name][0])
            for name, part in sorted(by(rows, "forecaster").items()):
                if self.served(part[0]):
                    answer.append((variable, name, sum(row["n"] for row in part), *of[name], best, of[best][0]))
        return answer

    def bias_by_hour_of_day(self) -> list[tuple]:
        cells = defaultdict(list)
        for row in self.errors():
            cells[row["variable"], row["valid_at"].hour].append(row["error"])
        return [(*key, len(errors), fmean(errors), fmean(map(abs, errors))) for key, errors in sorted(cells.items())]

    def worse_than_climatology(self) -> list[tuple]:
        champion = next(row for row in self.models if row["role"] == "champion")
        mine = [row for row in self.scores if row["model_id"] == champion["model_id"]]
        answer = []
        for variable, lead in sorted({(row["variable"], row["lead_hours"]) for row in mine}):
            of = by((row for row in mine if (row["variable"], row["lead_hours"]) == (variable, lead)), "forecaster")
            ours, usual = mean(of[champion["forecaster"]], "mae"), mean(of["climatology"], "mae")
            if ours > usual:
                answer.append((variable, lead, ours, usual, ours / usual if usual else None))
        return answer

    def interval_width_by_lead(self) -> list[tuple]:
        cells = defaultdict(list)
        for row in self.latest():
            cells[row["variable"], row["lead_hours"]].append(row)
        pairs = (("q25", "q75"), ("q10", "q90"), ("q05", "q95"))
        return [
            (*key, *(fmean(row[high] - row[low] for row in rows) for low, high in pairs))
            for key, rows in sorted(cells.items())
        ]

    def revisions_of_one_hour(self) -> list[tuple]:
        rows = [row for row in self.errors() if row["variable"] == "air_temperature_c"]
        hour = max(row["valid_at"] for row in rows)
        rows = sorted((r for r in rows if r["valid_at"] == hour), key=lambda r: (r["station_id"], r["issued_at"]))
        answer, before = [], {}
        for row in rows:
            revision = row["value"] - before[row["station_id"]] if row["station_id"] in before else None
            before[row["station_id"]] = row["value"]
            shown = [row[name] for name in ("station_id", "issued_at", "lead_hours", "value", "q10", "q90")]
            answer.append((*shown, revision, row["observed"]))
        return answer

    def forecasts_wide(self) -> list[tuple]:
        variables = sorted({row["variable"] for row in self.latest()})
        wide: dict[tuple, Row] = defaultdict(dict)
        for row in self.latest():
            wide[row["station_id"], row["issued_at"], row["valid_at"]][row["variable"]] = row["value"]
        return [(*key, *(values.get(name) for name in variables)) for key, values in sorted(wide.items())]


def by(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """The rows, apart by the value of a column."""
    groups = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return dict(groups)


def mean(rows: Iterable[Row], score: str) -> float:
    """The mean of a score over rows that stand for n forecasts each."""
    rows = list(rows)
    return sum(row["n"] * row[score] for row in rows) / sum(row["n"] for row in rows)
