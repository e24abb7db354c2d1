"""Commands about past hours: `backtest` scores forecasts of them, `backfill` makes the forecasts that were missed."""

import argparse
import sys

from daycast.cli.arguments import Arguments
from daycast.cli.flows import load_flow
from daycast.cli.output import print_frame
from daycast.errors import ConfigError


def add_past_hours(arguments: Arguments) -> None:
    """Add `backtest` and `backfill`."""
    backtest = arguments.add(
        "backtest",
        _backtest,
        "score forecasts of past hours, as things were known then",
        "--since 2026-05-01 --until 2026-06-01",
        more="Prints the mean scores of the model and of the baselines it was fitted with.",
        until="stop before this hour of issue (required)",
    )
    backtest.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backtest.add_argument(
        "--every", metavar="DURATION", default="24h", help="time between hours of issue (default: 24h)"
    )
    backtest.add_argument("--model", metavar="ID", help="score this model instead of the champion")
    backtest.add_argument(
        "--format", choices=["table", "json"], default="table", help="(default: table; json is complete)"
    )
    backfill = arguments.add(
        "backfill",
        _backfill,
        "forecast missed hours with the champion of each hour",
        "--since 2026-05-30T12:00 --dry-run",
        more="Uses only what was known at each hour. These forecasts are marked as backfilled.",
        until="stop before this hour of issue (default: now)",
    )
    backfill.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backfill.add_argument(
        "--dry-run", action="store_true", help="only say which hours are missing, and which models would forecast them"
    )


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
