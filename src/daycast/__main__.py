"""The command line. It reads the arguments, and imports what a command needs only when it is called."""

import argparse
import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from daycast import __version__
from daycast.errors import ConfigError, DaycastError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 only when the work was done."""
    args = _parser().parse_args(arguments)
    _speak()
    try:
        command: Callable[[argparse.Namespace], None] = args.command
        command(args)
    except DaycastError as error:
        print(f"daycast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "daycast: interrupted; what was committed stays, and the same command continues from there", file=sys.stderr
        )
        return 130
    return 0


def _speak() -> None:
    """Send daycast's own log to stderr, and nobody else's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log = logging.getLogger("daycast")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    for worker in ("EventsWorker", "APILogWorker"):  # Prefect's, which say at exit that they are not done yet
        logging.getLogger(worker).setLevel(logging.CRITICAL)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", metavar="FILE", help="configuration (default: daycast.toml, or DAYCAST_CONFIG)")
    timed = argparse.ArgumentParser(add_help=False, parents=[shared])
    timed.add_argument("--until", metavar="T", help="as if the clock stood at T: nothing later is used")
    parser = argparse.ArgumentParser(
        prog="daycast", description="Tomorrow's weather at your own sensors, as SQL tables."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], None], text: str, parent: argparse.ArgumentParser = shared
    ) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, parents=[parent])
        sub.set_defaults(command=command)
        return sub

    add("init", _init, "write a commented daycast.toml")
    _add_chain(add, timed)
    _add_past(add, timed)
    _add_service(add)
    sql = add("sql", _sql, "query the published file, read-only")
    sql.add_argument("query")
    sql.add_argument("--format", choices=["table", "csv", "json"], default="table")
    return parser


def _add_chain(add: Callable[..., argparse.ArgumentParser], timed: argparse.ArgumentParser) -> None:
    run = add("run", _run, "the whole chain once: ingest, retrain if due, forecast, verify, publish, report", timed)
    _add_cell(run)
    ingest = add("ingest", _ingest, "take in what the sources have", timed)
    ingest.add_argument("--source", metavar="NAME", help="only this source")
    ingest.add_argument("--since", metavar="T", help="from T instead of where the last run ended")
    retrain = add("retrain", _retrain, "train a challenger, judge it, promote it if it is better", timed)
    _add_cell(retrain)
    retrain.add_argument("--warm-start", action="store_true", help="begin with the champion's networks")
    retrain.add_argument("--epochs", type=int, metavar="N", help="at most, instead of model.epochs")
    retrain.add_argument("--minutes", type=float, metavar="M", help="instead of model.longest_minutes")
    retrain.add_argument("--dry-run", action="store_true", help="only say what would be trained, and on what")
    forecast = add("forecast", _forecast, "issue the next 24 hours with the champion", timed)
    forecast.add_argument("--issued-at", metavar="T", help="the hour to forecast from, as things were known then")
    forecast.add_argument("--station", metavar="ID", nargs="+", default=[], help="only these stations")
    forecast.add_argument("--dry-run", action="store_true", help="only say what would be forecast, and by which model")
    add("verify", _verify, "score past forecasts against what came", timed)
    add("publish", _publish, "replace the published file by the newest tables", timed)
    add("report", _report, "write the report page", timed)
    maintain = add(
        "maintain", _maintain, "remove what [retention] no longer keeps, and compact the published history", timed
    )
    maintain.add_argument("--dry-run", action="store_true", help="only say what would go")
    add("doctor", _doctor, "check configuration, sources, warehouse and machine", timed)


def _add_past(add: Callable[..., argparse.ArgumentParser], timed: argparse.ArgumentParser) -> None:
    backtest = add("backtest", _backtest, "score forecasts of past hours, as things were known at each", timed)
    backtest.set_defaults(until=None)
    backtest.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backtest.add_argument("--every", metavar="DURATION", default="24h", help="between hours of issue (default 24h)")
    backtest.add_argument("--model", metavar="ID", help="instead of the champion")
    backtest.add_argument("--format", choices=["table", "json"], default="table")
    backfill = add("backfill", _backfill, "forecast past hours that were missed, with the champion of each")
    backfill.set_defaults(until=None)
    backfill.add_argument("--since", metavar="T", required=True, help="the first hour of issue")
    backfill.add_argument("--until", metavar="T", help="the hour of issue to stop before (default: now)")
    backfill.add_argument(
        "--dry-run", action="store_true", help="only say which hours are missing, and who would forecast them"
    )
    models = add("models", _models, "list the models, show one, promote one, or roll back to the champion before")
    models.add_argument("action", choices=["list", "show", "promote", "rollback"])
    models.add_argument("model_id", nargs="?", metavar="ID")
    models.add_argument("--format", choices=["table", "json"], default="table", help="of list and show")
    models.add_argument("--dry-run", action="store_true", help="only say who would be champion in whose place")


def _add_service(add: Callable[..., argparse.ArgumentParser]) -> None:
    up = add("up", _up, "run by itself: Prefect server, workers and schedules, until Ctrl-C or `daycast down`")
    up.add_argument("--port", type=int, metavar="N", help="of the server on 127.0.0.1 (default 4200, or any free one)")
    up.add_argument("--detach", action="store_true", help="return once all is up, and leave it running")
    add("down", _down, "stop what `daycast up` started")
    add("deploy", _deploy, "bring the Prefect server that PREFECT_API_URL names up to date: pools, automations, flows")
    trigger = add("trigger", _trigger, "have a worker run a flow now")
    trigger.add_argument(
        "flow", help="ingest, forecast, verify, retrain, publish, maintain, backfill, promote, rollback or pipeline"
    )
    trigger.add_argument("parameters", nargs="*", metavar="key=value", help="parameters of the flow")
    trigger.add_argument("--dry-run", action="store_true", help="only say what would be started")
    moved = add("migrate-warehouse", _migrate_warehouse, "copy every table from the file onto the lake, or back")
    moved.add_argument("--to", choices=["lake", "file"], required=True, help="where to; the other stays as it is")


def _add_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell", choices=["gru", "lstm", "rnn", "auto"], help="the recurrent cell; auto trains GRU and LSTM"
    )


def _init(args: argparse.Namespace) -> None:
    from daycast.settings import DEFAULT_FILE

    path = Path(args.config or DEFAULT_FILE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write((Path(__file__).parent / "template.toml").read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError(f"{path} is there already: edit it, or name another with --config") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    print(f"wrote {path}: edit it, then `daycast run`")


def _load_flow(args: argparse.Namespace, flow: str) -> Any:
    """The flow of this name, with a Prefect server to run on: the user's, or one of our own with its state in the data folder."""
    from daycast.own_server import OwnServer
    from daycast.settings import clock, load_settings

    settings, _ = load_settings(args.config), clock(args.until)  # what is wrong here is said before Prefect is started
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    server = None if "PREFECT_API_URL" in os.environ else OwnServer(settings.data / "prefect")
    if server:
        os.environ |= {"PREFECT_HOME": str(settings.data / "prefect"), "PREFECT_API_URL": server.url}
    module = import_module(f"daycast.flows.{flow}")  # takes as long as the server
    if server:
        server.wait()
    return getattr(module, flow)


def _run(args: argparse.Namespace) -> None:
    pipeline = _load_flow(args, "pipeline")
    from daycast.report.summary import render_summary

    width = shutil.get_terminal_size((100, 40)).columns
    print(render_summary(pipeline(args.config, args.until, args.cell), min(width, 120), _sql_command(args)))


def _sql_command(args: argparse.Namespace) -> str:
    """How this very user calls `daycast sql` from this very place."""
    program = "daycast" if shutil.which("daycast") or Path(sys.argv[0]).stem != "daycast" else sys.argv[0]
    return shlex.join([program, "sql", *(["--config", args.config] if args.config else [])])


def _ingest(args: argparse.Namespace) -> None:
    ingest = _load_flow(args, "ingest")
    for intake in ingest(args.config, args.source, args.since, args.until):
        print(intake)


def _retrain(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings

    load_settings(args.config).with_cell(args.cell, args.epochs, args.minutes)  # said before Prefect is started
    retrain = _load_flow(args, "retrain")
    outcome = retrain(args.config, args.until, args.cell, args.warm_start, args.epochs, args.minutes, args.dry_run)
    if outcome is None:
        print("nothing was trained: that was a dry run")
        return
    print(
        f"{outcome.model_id} {'promoted' if outcome.decision.promoted else 'not promoted'}: {outcome.decision.reason}"
    )


def _forecast(args: argparse.Namespace) -> None:
    forecast = _load_flow(args, "forecast")
    count = forecast(args.config, args.issued_at, args.station, args.until, args.dry_run)
    print(f"{count:,} forecasts {'would be ' if args.dry_run else ''}written")


def _verify(args: argparse.Namespace) -> None:
    verify = _load_flow(args, "verify")
    print(f"{verify(args.config, args.until):,} forecasts scored")


def _backfill(args: argparse.Namespace) -> None:
    backfill = _load_flow(args, "backfill")
    count = backfill(args.since, args.until, args.config, args.dry_run)
    print(f"{count:,} missed hours {'would be ' if args.dry_run else ''}forecast")


def _up(args: argparse.Namespace) -> None:
    from daycast.live.detach import up_detached
    from daycast.live.up import up
    from daycast.settings import find_config, load_settings

    settings = load_settings(args.config)
    if args.detach:
        given = {"--config": args.config, "--port": args.port}
        again = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        print(up_detached(again, settings.data / "prefect"))
        return
    up(
        settings,
        find_config(args.config),
        Path(str(import_module("daycast.flows").__file__)).parents[1],
        args.port,
    )


def _deploy(args: argparse.Namespace) -> None:
    from daycast.live.deploy import deploy
    from daycast.settings import load_settings

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise ConfigError("no Prefect server is named: set PREFECT_API_URL, or run everything here with `daycast up`")
    alert = load_settings(args.config).live.alert_url
    root = Path(str(import_module("daycast.flows").__file__)).parents[1]
    deploy(url, root, alert.get_secret_value() if alert else None)


def _down(args: argparse.Namespace) -> None:
    from daycast.live.state import stop
    from daycast.settings import load_settings

    print("down" if stop(load_settings(args.config).data / "prefect") else "daycast was not up")


def _trigger(args: argparse.Namespace) -> None:
    from daycast.live.state import read_state
    from daycast.live.trigger import trigger
    from daycast.settings import load_settings

    state = read_state(load_settings(args.config).data / "prefect") or {}
    url = state.get("url") or os.environ.get("PREFECT_API_URL")
    if not url:
        raise ConfigError("no Prefect server is known here: start one with `daycast up`, or set PREFECT_API_URL")
    print(trigger(url, args.flow, args.parameters, dry_run=args.dry_run))


def _publish(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.publish import publish_tables

    print(publish_tables(load_settings(args.config), clock(args.until)))


def _maintain(args: argparse.Namespace) -> None:
    maintain = _load_flow(args, "maintain")
    print(f"{'would remove' if args.dry_run else 'removed'} {maintain(args.config, args.until, args.dry_run)}")


def _report(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.report import write_report

    print(write_report(load_settings(args.config), clock(args.until)))


def _doctor(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.doctor import examine

    findings = list(examine(load_settings(args.config), clock(args.until)))
    for finding in findings:
        print(finding)
    if failed := [finding for finding in findings if not finding.well]:
        raise ConfigError(f"{len(failed)} of {len(findings)} checks failed")


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
    _print_frame(scores, args.format)


def _models(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps import models

    settings, now = load_settings(args.config), clock()
    if args.action in ("show", "promote") and not args.model_id:
        raise ConfigError(f"`daycast models {args.action}` needs the id of a model: see `daycast models list`")
    if args.action == "list":
        _print_frame(models.list_models(settings, now), args.format)
    elif args.action == "show" and args.format == "json":
        print(json.dumps(models.show_model(settings, args.model_id, now), indent=2, default=str))
    elif args.action == "show":
        from daycast.report.model_card import render_model

        width = min(shutil.get_terminal_size((100, 40)).columns, 120)
        print(render_model(models.describe_model(settings, args.model_id, now), width), end="")
    elif args.action == "promote":
        print(models.promote(settings, args.model_id, now, dry_run=args.dry_run))
    else:
        print(models.rollback(settings, now, dry_run=args.dry_run))


def _migrate_warehouse(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.migrate_warehouse import migrate_warehouse

    for table, rows in migrate_warehouse(load_settings(args.config), args.to, clock()).items():
        print(f"{table}: {rows:,} rows, the same in both")


def _sql(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings
    from daycast.warehouse.query_published import query_published

    _print_frame(query_published(load_settings(args.config).published, args.query), args.format)


def _print_frame(frame, form: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - polars is not imported for --help
    import polars as pl

    if form == "json":
        print(json.dumps(frame.to_dicts(), default=str))
    elif form == "csv":
        print(frame.write_csv(), end="")
    else:
        with pl.Config(
            tbl_rows=200, tbl_cols=30, tbl_width_chars=220, fmt_str_lengths=200, tbl_hide_dataframe_shape=True
        ):
            print(frame)


if __name__ == "__main__":
    sys.exit(main())
