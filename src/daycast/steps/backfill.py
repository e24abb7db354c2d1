"""Backfill: which past hours have no forecast, and which model may forecast them without knowing the future."""

from dataclasses import dataclass
from datetime import datetime

from daycast.errors import ConfigError, ModelError
from daycast.settings import Settings
from daycast.times import HOUR, floor_hour
from daycast.warehouse.forecasts import read_hours_of_issue
from daycast.warehouse.models import read_champions_until


def find_missing_hours(settings: Settings, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    """The full hours of [since, until) at which no forecast was issued, oldest first (UTC).

    Raises ConfigError if the range holds no full hour.
    """
    first = floor_hour(since) if since == floor_hour(since) else floor_hour(since) + HOUR
    if first >= until:
        raise ConfigError(f"there is no full hour from {since.isoformat()} to before {until.isoformat()}")
    with settings.warehouse.read(now) as con:
        issued_hours = read_hours_of_issue(con, first, until)
    return [hour for i in range(-(-(until - first) // HOUR)) if (hour := first + i * HOUR) not in issued_hours]


def find_model_as_of(settings: Settings, moment: datetime, now: datetime) -> str | None:
    """The id of the champion as of a past moment, or of the newest champion before it whose checkpoint still exists.

    None if there was no champion yet: then the present champion may forecast, because nobody was served anything.
    """
    return _newest_usable_champion(settings, moment, now)[0]


@dataclass(frozen=True)
class ModelOfHour:
    """The model that forecasts a past hour; without one, `reason` says why the hour stays missing."""

    model_id: str | None
    reason: str = ""


def choose_model_of_hour(settings: Settings, hour: datetime, now: datetime) -> ModelOfHour:
    """The model that forecasts a past hour as it would have been forecast then: the champion of that hour.

    If its checkpoint is gone, the newest champion before it whose checkpoint still exists. Later models and their baselines are
    never used, because they were fitted to data that nobody had then. An hour that is not over yet is forecast by the present
    champion.
    """
    model_id, champions = _newest_usable_champion(settings, now if now - hour < HOUR else hour, now)
    if model_id:
        return ModelOfHour(model_id)
    why = f"no checkpoint of {', '.join(dict.fromkeys(champions))} is there" if champions else "no model served yet"
    how = "cannot be forecast as it was known then"
    return ModelOfHour(None, f"{hour:%Y-%m-%dT%H:%MZ} {how}: {why}; `daycast backtest` scores today's on any hours")


def find_model_of_hour(settings: Settings, hour: datetime, now: datetime) -> str:
    """The id of the model that `choose_model_of_hour` chooses. Raises ModelError if no checkpoint can be used."""
    chosen = choose_model_of_hour(settings, hour, now)
    if chosen.model_id is None:
        raise ModelError(chosen.reason)
    return chosen.model_id


def _newest_usable_champion(settings: Settings, moment: datetime, now: datetime) -> tuple[str | None, list[str]]:
    """The id of the newest champion up to `moment` whose checkpoint exists, or None; and all champions, newest first."""
    with settings.warehouse.read(now) as con:
        champions = read_champions_until(con, moment)
    newest = next((one for one in champions if (settings.checkpoints / one.checkpoint).is_file()), None)
    return newest.model_id if newest else None, [one.model_id for one in champions]
