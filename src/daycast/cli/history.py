"""What concerns the past: backtests, missed hours, and the models there were."""

import argparse
import sys

from daycast.cli.arguments import Arguments
from daycast.cli.chain import load_flow
from daycast.cli.output import print_frame, terminal_width, to_json
from daycast.errors import ConfigError


def add_history(arguments: Arguments) -> None:
    """`backtest`, `backfill` and `models`."""
    backtest = arguments.add(
        "backtest",
        _backtest,
        "score forecasts of past hours, as things were known then",
        "--since 2026-05-01 --until 2026-06-01",
        until="the end of the hours of issue, itself left out",
    )
    backtest.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backtest.add_argument("--every", metavar="DURATION", default="24h", help="between hours of issue (default 24h)")
    backtest.add_argument("--model", metavar="ID", help="instead of the champion")
    backtest.add_argument("--format", choices=["table", "json"], default="table")
    backfill = arguments.add(
        "backfill",
        _backfill,
        "forecast hours that were missed, by the champion of each",
        "--since 2026-05-30T12:00 --dry-run",
        until="the hour of issue to stop before (default: now)",
    )
    backfill.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backfill.add_argument(
        "--dry-run", action="store_true", help="only say which hours are missing, and who would forecast them"
    )
    models = arguments.add("models", _models, "list the models, show one, promote one, or roll back", "list")
    models.add_argument("action", choices=["list", "show", "promote", "rollback"])
    models.add_argument("model_id", nargs="?", metavar="ID")
    models.add_argument("--format", choices=["table", "json"], default="table", help="of list and show")
    models.add_argument("--dry-run", action="store_true", help="only say who would be champion in whose place")


def _backtest(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.backtest import backtest
    from daycast.times import parse_duration, parse_time

    if not args.until:
        raise ConfigError("backtest needs --until T, the end of the hours of issue")
    scores, warning = backtest(
        load_settings(args.config),
        parse_time(args.since),
        parse_time(args.until),
        parse_duration(args.every),
        clock(),
        args.model,
    )
    if warning:
        print(f"daycast: {warning}", file=sys.stderr)
    print_frame(scores, args.format, complete="--format json")


def _backfill(args: argparse.Namespace) -> None:
    backfill = load_flow(args, "backfill")
    count = backfill(args.since, args.until, args.config, args.dry_run)
    print(f"{count:,} missed hours {'would be ' if args.dry_run else ''}forecast")


def _models(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps import registry as models

    settings, now = load_settings(args.config), clock()
    if args.action in ("show", "promote") and not args.model_id:
        raise ConfigError(f"`daycast models {args.action}` needs the id of a model: see `daycast models list`")
    if args.action == "list" and args.format == "json":
        print_frame(models.list_models(settings, now), "json")
    elif args.action == "list":
        from daycast.report.model_card import render_models

        print(render_models(models.list_models(settings, now), terminal_width()), end="")
    elif args.action == "show" and args.format == "json":
        print(to_json(models.show_model(settings, args.model_id, now), indent=2))
    elif args.action == "show":
        from daycast.report.model_card import render_model

        print(render_model(models.describe_model(settings, args.model_id, now), terminal_width()), end="")
    elif args.action == "promote":
        print(models.promote(settings, args.model_id, now, dry_run=args.dry_run))
    else:
        print(models.rollback(settings, now, dry_run=args.dry_run))
