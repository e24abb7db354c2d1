"""What a retraining would do."""

from dataclasses import dataclass
from datetime import datetime

from daycast.errors import NotEnoughDataError
from daycast.model.config import ModelConfig
from daycast.prepare.splits import split_hours
from daycast.settings import Settings
from daycast.times import HOUR, floor_hour
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.models import read_champion
from daycast.warehouse.observations import read_extent, read_stations


@dataclass(frozen=True)
class RetrainingPlan:
    """What is trained, on what, where and for how long at most, and whom it has to beat."""

    model: ModelConfig
    stations: int
    since: datetime
    until: datetime
    where: str
    champion: str | None

    @property
    def too_little(self) -> str:
        """Why there can be no networks, and baselines are fitted alone; empty where there can be."""
        hours = (self.until - self.since) // HOUR + 1
        model = self.model
        try:
            split_hours(hours, model.validation_days, model.judgement_days, model.least_training_days)
        except NotEnoughDataError as error:
            return str(error)
        return ""

    def __str__(self) -> str:
        model = self.model
        most = "as many epochs as fit into" if model.epochs is None else f"at most {model.epochs} epochs each, within"
        cells = "GRU and LSTM in turns" if model.cell == "auto" else model.cell
        what = f"{model.members} networks ({cells}), {most} {model.max_minutes:g} minutes"
        if self.too_little:
            what = f"the naive baselines alone ({self.too_little})"
        begun = f", beginning with {self.champion}" if model.warm_start and self.champion else ""
        span = f"{self.stations} stations, {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d %H:%M} UTC"
        rivals = f"{self.champion} and the baselines" if self.champion else "the baselines, there is no champion"
        return f"{what}{begun}, on {span}, {self.where}; judged against {rivals}"


def plan_retraining(settings: Settings, model: ModelConfig, now: datetime) -> RetrainingPlan:
    """What a retraining with this model configuration would do now; nothing is written. Raises NotEnoughDataError."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        first, last = read_extent(con, now)
        champion, stations = read_champion(con), len(read_stations(con))
    if first is None or last is None:
        raise NotEnoughDataError("there is no observation yet: ingest something first")
    pool = settings.retrain.fit_on
    where = "in this very run" if pool == "here" else f"by a worker of the pool {pool}"
    until = min(last, floor_hour(now))
    return RetrainingPlan(model, stations, first, until, where, str(champion["model_id"]) if champion else None)
