"""The stages of `daycast run`, one command each: `ingest`, `retrain`, `forecast`, `verify` and `publish`."""

import argparse

from daycast.cli.arguments import Arguments
from daycast.cli.first_steps import add_cell
from daycast.cli.flows import load_flow
from daycast.errors import ConfigError, ModelError


def add_pipeline(arguments: Arguments) -> None:
    """Add `ingest`, `retrain`, `forecast`, `verify` and `publish`."""
    ingest = arguments.add(
        "ingest",
        _ingest,
        "fetch, check and store new readings of every source",
        "--source garden --since 2026-05-01",
        more="If a source fails, the others are still read.",
        until="only readings received up to T",
    )
    ingest.add_argument("--source", metavar="NAME", help="only this source")
    ingest.add_argument("--since", metavar="T", help="from T on, instead of from the end of the last run")
    ingest.add_argument(
        "--reread",
        metavar="NAME",
        help="read this source again, what was observed from --since on, and correct what was read wrongly as of when it came",
    )
    _add_retrain(arguments)
    _add_forecast(arguments)
    arguments.add(
        "verify",
        _verify,
        "score past forecasts against the observations",
        more="Also looks for drift, and once a week calibrates the champion's intervals.",
        until="use only what was observed and received up to T",
    )
    arguments.add(
        "publish",
        _publish,
        "replace the published file with the newest tables",
        more="Readers see the old file or the new one, never half of it.",
    )


def _add_retrain(arguments: Arguments) -> None:
    retrain = arguments.add(
        "retrain",
        _retrain,
        "train a challenger and promote it if it is better",
        "--minutes 5",
        more="The challenger is compared with the champion and all baselines on the newest weeks, which no fit has seen.",
        until="train and compare with what was known at T",
    )
    add_cell(retrain)
    retrain.add_argument("--warm-start", action="store_true", help="start from the champion's weights")
    retrain.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="at most N epochs for each network (default: as many as fit into the minutes)",
    )
    retrain.add_argument(
        "--minutes", type=float, metavar="M", help="train for at most M minutes, instead of model.max_minutes"
    )
    retrain.add_argument("--dry-run", action="store_true", help="only say what would be trained, and on what")


def _add_forecast(arguments: Arguments) -> None:
    forecast = arguments.add(
        "forecast",
        _forecast,
        "issue the next 24 hours with the champion",
        "--station S0001 S0002",
        more="If the champion cannot be used, the one before it forecasts.",
        until="forecast from the last full hour before T, as things were known then; forecasts that come too late are "
        "marked as backfilled",
    )
    forecast.add_argument("--issued-at", metavar="T", help="forecast from this hour, as things were known then")
    forecast.add_argument("--station", metavar="ID", nargs="+", default=[], help="only these stations")
    forecast.add_argument("--dry-run", action="store_true", help="only say what would be forecast, and by which model")


def _ingest(args: argparse.Namespace) -> None:
    ingest = load_flow(args, "ingest")
    if args.reread and args.source not in {None, args.reread}:
        raise ConfigError(f"--reread {args.reread} reads that source alone: leave out --source {args.source}")
    for ingested in ingest(args.config, args.source, args.since, args.until, args.reread):
        print(ingested)


def _retrain(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings

    load_settings(args.config).with_cell(args.cell, args.epochs, args.minutes)  # report errors before Prefect starts
    retrain = load_flow(args, "retrain")
    outcome = retrain(args.config, args.until, args.cell, args.warm_start, args.epochs, args.minutes, args.dry_run)
    if outcome is None:
        print("nothing was trained: that was a dry run")
        return
    result = "promoted" if outcome.decision.promoted else "not promoted"
    print(f"{outcome.model_id} {result}: {outcome.decision.reason}")


def _forecast(args: argparse.Namespace) -> None:
    forecast = load_flow(args, "forecast")
    count = forecast(args.config, args.issued_at, args.station, args.until, args.dry_run)
    if count is None:
        raise ModelError("there is no champion to forecast with: run `daycast retrain` first")
    print(f"{count:,} forecasts {'would be ' if args.dry_run else ''}written")


def _verify(args: argparse.Namespace) -> None:
    verify = load_flow(args, "verify")
    print(f"{verify(args.config, args.until):,} forecasts scored")


def _publish(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.publish import publish_tables

    print(publish_tables(load_settings(args.config), clock()))
