"""The steps of the chain, one after the other and each by itself."""

import argparse
import os
import shlex
import shutil
import sys
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any

from daycast.cli.arguments import Arguments
from daycast.cli.output import terminal_width
from daycast.errors import ConfigError

# A flow, and a Prefect server for it to run on.


QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}


def load_flow(args: argparse.Namespace, flow: str) -> Any:
    """The flow of this name, with a Prefect server to run on: the user's, or one of our own with its state in the data folder."""
    from daycast.files import explained
    from daycast.service.ephemeral_server import EphemeralServer
    from daycast.settings import clock, load_settings

    settings, _ = load_settings(args.config), clock(args.until)  # what is wrong here is said before Prefect is started
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if url := os.environ.get("PREFECT_API_URL"):
        _check_answers(url)
    home = settings.data / "prefect" / "commands"
    with explained(home):
        server = None if url else EphemeralServer(home)
    if server:
        os.environ |= {"PREFECT_HOME": str(home), **server.environment}
    module = import_module(f"daycast.flows.{flow}")  # takes as long as the server
    if server:
        server.wait()
    return getattr(module, flow)


def _check_answers(url: str) -> None:
    """Raise ConfigError where no server is there, which Prefect would say with the tracebacks of many attempts."""
    from daycast.service.server import RefusedError, Server

    try:
        Server(url).call("/health")
    except RefusedError:  # a server that wants to be asked otherwise, as Prefect does
        return
    except (ConfigError, ValueError, HTTPException) as error:
        raise ConfigError(
            f"PREFECT_API_URL is of no use: {error}. Correct it, or unset it: then the command brings a server of its own"
        ) from None


def add_chain(arguments: Arguments) -> None:
    """`run`, `ingest`, `retrain`, `forecast`, `verify`, `publish`, `report`, `maintain` and `doctor`."""
    _add_run_and_ingest(arguments)
    _add_retrain(arguments)
    _add_forecast(arguments)
    _add_outputs(arguments)
    _add_care(arguments)


def _add_run_and_ingest(arguments: Arguments) -> None:
    run = arguments.add(
        "run",
        _run,
        "the whole chain once: ingest, retrain if due, forecast, verify, publish, report",
        until="use nothing that was received, registered or issued after T",
    )
    _add_cell(run)
    ingest = arguments.add(
        "ingest",
        _ingest,
        "take in what the sources have",
        "--source garden --since 2026-05-01",
        until="only what was received up to T",
    )
    ingest.add_argument("--source", metavar="NAME", help="only this source")
    ingest.add_argument("--since", metavar="T", help="from T instead of where the last run ended")


def _add_retrain(arguments: Arguments) -> None:
    retrain = arguments.add(
        "retrain",
        _retrain,
        "train a challenger, judge it, promote it if it is better",
        "--minutes 5",
        until="train and judge with what was known at T",
    )
    _add_cell(retrain)
    retrain.add_argument("--warm-start", action="store_true", help="begin with the champion's networks")
    retrain.add_argument(
        "--epochs", type=int, metavar="N", help="of each network, at most; by default as many as the minutes allow"
    )
    retrain.add_argument("--minutes", type=float, metavar="M", help="instead of model.max_minutes")
    retrain.add_argument("--dry-run", action="store_true", help="only say what would be trained, and on what")


def _add_forecast(arguments: Arguments) -> None:
    forecast = arguments.add(
        "forecast",
        _forecast,
        "issue the next 24 hours with the champion",
        "--station S0001 S0002",
        until="from the last full hour before T, as things were known then; marked backfilled where it comes too late",
    )
    forecast.add_argument("--issued-at", metavar="T", help="the hour to forecast from, as things were known then")
    forecast.add_argument("--station", metavar="ID", nargs="+", default=[], help="only these stations")
    forecast.add_argument("--dry-run", action="store_true", help="only say what would be forecast, and by which model")


def _add_outputs(arguments: Arguments) -> None:
    arguments.add(
        "verify", _verify, "score past forecasts against what came", until="with what was observed and known at T"
    )
    arguments.add("publish", _publish, "replace the published file by the newest tables")
    arguments.add(
        "report",
        _report,
        "write the report page",
        "--config garden.toml",
        until="show the forecasts, observations and silences of T",
    )


def _add_care(arguments: Arguments) -> None:
    maintain = arguments.add(
        "maintain",
        _maintain,
        "remove what [retention] no longer keeps, compact history",
        "--dry-run",
        until="count the days that things are kept back from T",
    )
    maintain.add_argument("--dry-run", action="store_true", help="only say what would go")
    arguments.add(
        "doctor",
        _doctor,
        "check configuration, sources, warehouse and machine",
        until="ask the sources for what was received up to T",
    )


def _add_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell", choices=["gru", "lstm", "rnn", "auto"], help="the recurrent cell; auto trains GRU and LSTM"
    )


def _run(args: argparse.Namespace) -> None:
    pipeline = load_flow(args, "pipeline")
    from daycast.report.summary import render_summary

    print(render_summary(pipeline(args.config, args.until, args.cell), terminal_width(), _sql_command(args)))


def _sql_command(args: argparse.Namespace) -> str:
    """How this very user calls `daycast sql` from this very place."""
    program = "daycast" if shutil.which("daycast") or Path(sys.argv[0]).stem != "daycast" else sys.argv[0]
    return shlex.join([program, "sql", *(["--config", args.config] if args.config else [])])


def _ingest(args: argparse.Namespace) -> None:
    ingest = load_flow(args, "ingest")
    for intake in ingest(args.config, args.source, args.since, args.until):
        print(intake)


def _retrain(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings

    load_settings(args.config).with_cell(args.cell, args.epochs, args.minutes)  # said before Prefect is started
    retrain = load_flow(args, "retrain")
    outcome = retrain(args.config, args.until, args.cell, args.warm_start, args.epochs, args.minutes, args.dry_run)
    if outcome is None:
        print("nothing was trained: that was a dry run")
        return
    print(
        f"{outcome.model_id} {'promoted' if outcome.decision.promoted else 'not promoted'}: {outcome.decision.reason}"
    )


def _forecast(args: argparse.Namespace) -> None:
    forecast = load_flow(args, "forecast")
    count = forecast(args.config, args.issued_at, args.station, args.until, args.dry_run)
    print(f"{count:,} forecasts {'would be ' if args.dry_run else ''}written")


def _verify(args: argparse.Namespace) -> None:
    verify = load_flow(args, "verify")
    print(f"{verify(args.config, args.until):,} forecasts scored")


def _publish(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.publish import publish_tables

    print(publish_tables(load_settings(args.config), clock()))


def _report(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.publish import write_report

    until = clock(args.until) if args.until else None
    print(write_report(load_settings(args.config), clock(), until))


def _maintain(args: argparse.Namespace) -> None:
    maintain = load_flow(args, "maintain")
    print(f"{'would remove' if args.dry_run else 'removed'} {maintain(args.config, args.until, args.dry_run)}")


def _doctor(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.doctor import examine

    findings = list(examine(load_settings(args.config), clock(), clock(args.until)))
    for finding in findings:
        print(finding)
    if failed := [finding for finding in findings if not finding.ok]:
        raise ConfigError(f"{len(failed)} of {len(findings)} checks failed")
