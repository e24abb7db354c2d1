"""daycast as a service: what runs by itself, what is triggered there, and where its tables lie."""

import argparse
import os

from daycast.cli.arguments import FLOWS, Arguments
from daycast.errors import ConfigError


def add_service(arguments: Arguments) -> None:
    """`up`, `down`, `deploy`, `trigger` and `migrate-warehouse`."""
    up = arguments.add("up", _up, "run by itself: server, workers, schedules, until Ctrl-C", "--detach")
    up.set_defaults(ends_by_itself=True)  # it stops what it started in order, which takes its time
    up.add_argument("--port", type=int, metavar="N", help="of the server on 127.0.0.1 (default 4200, or any free one)")
    up.add_argument("--detach", action="store_true", help="return once all is up, and leave it running")
    arguments.add("down", _down, "stop what `daycast up` started")
    arguments.add(
        "deploy",
        _deploy,
        "bring the Prefect server of PREFECT_API_URL up to date",
        "",
    )
    trigger = arguments.add("trigger", _trigger, "have a worker run a flow now", "retrain cell=lstm --dry-run")
    trigger.add_argument("flow", help=f"{', '.join(FLOWS[:-1])} or {FLOWS[-1]}")
    trigger.add_argument("parameters", nargs="*", metavar="key=value", help="parameters of the flow")
    trigger.add_argument("--dry-run", action="store_true", help="only say what would be started")
    moved = arguments.add(
        "migrate-warehouse", _migrate_warehouse, "copy every table from the file onto the lake, or back", "--to lake"
    )
    moved.add_argument("--to", choices=["lake", "file"], required=True, help="where to; the other stays as it is")


def _up(args: argparse.Namespace) -> None:
    from daycast.service.up import up, up_detached
    from daycast.settings import find_config, load_settings

    settings = load_settings(args.config)
    if args.detach:
        given = {"--config": args.config, "--port": args.port}
        again = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        print(up_detached(again, settings.data / "prefect"))
        return
    up(settings, find_config(args.config), args.port, lambda line: print(line, flush=True))


def _down(args: argparse.Namespace) -> None:
    from daycast.service.supervisor import stop
    from daycast.settings import load_settings

    print("down" if stop(load_settings(args.config).data / "prefect") else "daycast was not up")


def _deploy(args: argparse.Namespace) -> None:
    from daycast.service.deploy import deploy
    from daycast.service.server import find_server
    from daycast.settings import load_settings

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise ConfigError("no Prefect server is named: set PREFECT_API_URL, or run everything here with `daycast up`")
    settings = load_settings(args.config)
    alert = settings.live.alert_url
    deploy(find_server(settings.data / "prefect", url), alert.get_secret_value() if alert else None)


def _trigger(args: argparse.Namespace) -> None:
    from daycast.service.server import find_server
    from daycast.service.supervisor import read_state
    from daycast.service.trigger import trigger
    from daycast.settings import load_settings

    home = load_settings(args.config).data / "prefect"
    state = read_state(home) or {}
    url = state.get("url") or os.environ.get("PREFECT_API_URL")
    if not url:
        raise ConfigError("no Prefect server is known here: start one with `daycast up`, or set PREFECT_API_URL")
    print(trigger(find_server(home, url), args.flow, args.parameters, dry_run=args.dry_run))


def _migrate_warehouse(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.maintain import migrate_warehouse

    for table, rows in migrate_warehouse(load_settings(args.config), args.to, clock()).items():
        print(f"{table}: {rows:,} rows, the same in both")
