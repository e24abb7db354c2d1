"""Which past hours nobody forecast, and who would have."""

from datetime import datetime

from daycast.errors import ConfigError, ModelError
from daycast.settings import Settings
from daycast.times import HOUR, floor_hour
from daycast.warehouse.forecasts import read_hours_of_issue
from daycast.warehouse.models import read_champions_until


def find_missing_hours(settings: Settings, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    """The full hours of [since, until) at which no forecast was issued, oldest first.

    Raises ConfigError where there is no hour in that range.
    """
    first = floor_hour(since) if since == floor_hour(since) else floor_hour(since) + HOUR
    if first >= until:
        raise ConfigError(f"there is no full hour from {since.isoformat()} to before {until.isoformat()}")
    with settings.warehouse.read(now) as con:
        there = read_hours_of_issue(con, first, until)
    return [hour for i in range(-(-(until - first) // HOUR)) if (hour := first + i * HOUR) not in there]


def find_model_as_of(settings: Settings, moment: datetime, now: datetime) -> str | None:
    """The id of the model that serves as of a past moment: the champion of then, or the one before whose checkpoint is there.

    None where none served yet: then whoever is champion now may forecast what nobody was served.
    """
    return _newest_there(settings, moment, now)[0]


def find_model_of_hour(settings: Settings, hour: datetime, now: datetime) -> str:
    """The id of the model that forecasts a past hour as if it were then: the champion of that hour.

    Where its checkpoint is gone, the newest champion before it whose checkpoint is there. No model that came later, nor its
    baselines, which were fitted to the same data: they know more than one could have known then. An hour that is not over is
    forecast by the champion of now, as ever. Raises ModelError.
    """
    model_id, champions = _newest_there(settings, now if now - hour < HOUR else hour, now)
    if model_id:
        return model_id
    why = f"no checkpoint of {', '.join(dict.fromkeys(champions))} is there" if champions else "no model served yet"
    raise ModelError(
        f"{hour:%Y-%m-%dT%H:%MZ} cannot be forecast as it was known then: {why}; "
        "`daycast backtest` scores today's on any hours"
    )


def _newest_there(settings: Settings, moment: datetime, now: datetime) -> tuple[str | None, list[str]]:
    """The newest champion up to `moment` whose checkpoint is there, if any; and all of them, the newest first."""
    with settings.warehouse.read(now) as con:
        champions = read_champions_until(con, moment)
    there = (one for one in champions if (settings.checkpoints / one.checkpoint).is_file())
    newest = next(there, None)
    return newest.model_id if newest else None, [one.model_id for one in champions]
