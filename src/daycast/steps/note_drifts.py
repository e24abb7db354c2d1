"""Look at the newest scores of the champion: have its forecasts drifted?"""

from datetime import datetime, timedelta

from daycast.settings import Settings
from daycast.times import DAY
from daycast.verify.drift import Drift, DriftLimits, find_drifts
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.drifts import add_drifts, read_daily_scores, read_drifts, read_judged_crps
from daycast.warehouse.models import read_champion, read_substitutes


def note_drifts(settings: Settings, now: datetime, until: datetime | None = None) -> tuple[str | None, list[Drift]]:
    """The champion's id, and the drifts that were not known of it before, which are noted; a drift is new once a champion.

    Days up to the one before `until`, by default `now`, are looked at, for that day is not over.
    """
    limits = DriftLimits(**settings.drift.model_dump())
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        if champion is None or champion["promoted_at"] is None:
            return None, []
        model_id, last = str(champion["model_id"]), ((until or now) - DAY).date()
        since = last - timedelta(days=limits.days + limits.lasting)
        daily = read_daily_scores(con, model_id, champion["promoted_at"], since, last)  # type: ignore[arg-type]
        served_by = {one.variable: one.forecaster for one in read_substitutes(con, model_id) if one.station_id is None}
        judged = read_judged_crps(con, model_id)
        found = find_drifts(daily, str(champion["forecaster"]), judged, served_by, limits, last)
        known = {(one.variable, one.measure) for one in read_drifts(con)}
        new = [one for one in found if (one.variable, one.measure) not in known]
        if new:
            add_drifts(con, new, model_id, now)
    return model_id, new
