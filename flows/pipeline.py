"""The whole pipeline once: ingest, retrain if due, forecast, verify, publish, report.

Without a champion it forecasts first with the best baseline, because baselines are fitted in seconds. That baseline serves until
the networks are trained, and afterwards too if they are not better.
"""

import logging

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.forecast import forecast
from daycast.flows.ingest import ingest
from daycast.flows.publish import make_outputs
from daycast.flows.retrain import retrain
from daycast.flows.runs import alone, named
from daycast.flows.stages import Stages
from daycast.flows.verify import verify
from daycast.flows.warehouse_task import warehouse_task
from daycast.model.config import Cell
from daycast.report.summary import Summary, render_summary
from daycast.settings import Moment, as_of, clock, load_settings
from daycast.steps import publish, train
from daycast.steps.record_run import recorded

_log = logging.getLogger("daycast")
has_champion = warehouse_task(train.has_champion)
minutes_due = warehouse_task(train.minutes_due)
find_changes = warehouse_task(train.find_changes)
summarise = warehouse_task(publish.summarise)


@flow(flow_run_name=named("pipeline", "cell"))
@alone
def pipeline(config: str | None = None, until: Moment | None = None, cell: Cell | None = None) -> Summary:
    """Run all stages and return a summary.

    If a stage fails, those after it still run, so that neither a broken source nor a failed training prevents a forecast. All
    errors are raised at the end as one.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
        until: Use nothing that was received, registered or issued later (ISO 8601); what is written bears the present time.
        cell: The recurrent cell instead of the configured one, if a retraining is due; auto trains GRU and LSTM.
    """
    settings, started_at = load_settings(config), clock()
    moment = as_of(until, started_at)
    stages = Stages(log_at_once=True)

    with recorded(settings, "pipeline", moment, clock):
        ingested = stages.run(ingest, config, until=until)
        outcome, forecast_rows = None, None
        changes = stages.run(find_changes, settings, clock()) or ()
        for change in changes:
            _log.info("changed since the last training, so another one is due: %s", change)
        if stages.run(has_champion, settings, started_at) is False:
            outcome = stages.run(retrain, config, until, baselines_only=True)
            forecast_rows = stages.run(forecast, config, until=until) if outcome else None
            if outcome and forecast_rows:
                make_outputs(stages, settings, moment if until else None)
                _log.info(
                    "the first forecasts are published: %s serves until a model is better", outcome.decision.winner
                )
        minutes = stages.run(minutes_due, settings, clock())
        if minutes is not None:
            outcome = stages.run(retrain, config, until, cell, minutes=minutes)
        if minutes is not None or not forecast_rows:
            stages.run(forecast, config, until=until)
        stages.run(verify, config, until)
        make_outputs(stages, settings, moment if until else None)
        stages.raise_errors()
        summary = summarise(settings, clock(), ingested or [], outcome, started_at, moment if until else None, changes)
        show_summary("pipeline", f"```\n{render_summary(summary, 100)}```", settings)
        return summary
