"""Which past hours nobody forecast, and who would have."""

from datetime import datetime

from daycast.errors import ConfigError, ModelError
from daycast.settings import Settings
from daycast.times import HOUR, floor_hour
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.forecasts import read_hours_of_issue
from daycast.warehouse.models import read_champions_until


def find_missing_hours(settings: Settings, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    """The full hours of [since, until) at which no forecast was issued, oldest first.

    Raises ConfigError where there is no hour in that range.
    """
    first = floor_hour(since) if since == floor_hour(since) else floor_hour(since) + HOUR
    if first >= until:
        raise ConfigError(f"there is no full hour from {since.isoformat()} to before {until.isoformat()}")
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        there = read_hours_of_issue(con, first, until)
    return [hour for i in range(-(-(until - first) // HOUR)) if (hour := first + i * HOUR) not in there]


def find_model_of_hour(settings: Settings, hour: datetime, now: datetime) -> str:
    """The id of the model that forecasts a past hour as if it were then: the champion of that hour.

    Where its checkpoint is gone, the newest champion before it whose checkpoint is there. No model that came later, nor its
    baselines, which were fitted to the same data: they know more than one could have known then. An hour that is not over is
    forecast by the champion of now, as ever. Raises ModelError.
    """
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champions = read_champions_until(con, now if now - hour < HOUR else hour)
    for champion in champions:
        if (settings.checkpoints / str(champion["checkpoint"])).is_file():
            return str(champion["model_id"])
    why = f"no checkpoint of {', '.join(dict.fromkeys(str(one['model_id']) for one in champions))} is there"
    raise ModelError(
        f"{hour:%Y-%m-%dT%H:%MZ} cannot be forecast as it was known then: {why if champions else 'no model served yet'}; "
        "`daycast backtest` scores today's on any hours"
    )
