"""Commands of operation: the service (`down`, `trigger`, `deploy`), the tables (`maintain`, `migrate-warehouse`), `pretrain`."""

import argparse
import os
from pathlib import Path

from daycast.cli.arguments import FLOWS, Arguments
from daycast.cli.flows import load_flow
from daycast.errors import ConfigError


def add_operation(arguments: Arguments) -> None:
    """Add `down`, `trigger`, `deploy`, `sources`, `maintain`, `migrate-warehouse` and `pretrain`."""
    arguments.add("down", _down, "stop what `daycast up` started", more="Waits until every process has ended.")
    trigger = arguments.add(
        "trigger",
        _trigger,
        "let a worker run a flow now",
        "retrain cell=lstm --dry-run",
        more="Parameters are checked first. Prints the address of the run.",
    )
    trigger.add_argument("flow", metavar="FLOW", help=f"{', '.join(FLOWS[:-1])} or {FLOWS[-1]}")
    trigger.add_argument("parameters", nargs="*", metavar="key=value", help="parameters of the flow")
    trigger.add_argument("--dry-run", action="store_true", help="only say what would be started")
    arguments.add(
        "deploy",
        _deploy,
        "deploy all flows to the server at PREFECT_API_URL",
        more="Creates or updates work pools, the warehouse slot, automations and deployments, as often as you like. "
        "`daycast up` does this for its own server.",
    )
    sources = arguments.add(
        "sources",
        _sources,
        "list the sources, retire one, or restore it",
        "retire old-roof",
        more="A source that is no longer configured is retired by itself: its stations are not forecast, nothing is trained on "
        "them, and their history is kept. `retire NAME` does the same by hand, until `restore NAME`.",
    )
    sources.add_argument("action", choices=["list", "retire", "restore"], help="what to do")
    sources.add_argument("name", nargs="?", metavar="NAME", help="the source to retire or restore")
    maintain = arguments.add(
        "maintain",
        _maintain,
        "delete what [retention] no longer keeps, compact history",
        "--dry-run",
        more="Publishes the tables afterwards.",
        until="count the days of retention back from T",
    )
    maintain.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    maintain.add_argument(
        "--recheck", action="store_true", help="check all hours again by the thresholds of [quality], as of now"
    )
    migrate = arguments.add(
        "migrate-warehouse",
        _migrate_warehouse,
        "copy every table from the file to the lake, or back",
        "--to lake",
        more="Compares both copies, and leaves the original as it is.",
    )
    migrate.add_argument("--to", choices=["lake", "file"], required=True, help="where to copy the tables")
    _add_pretrain(arguments)


def _add_pretrain(arguments: Arguments) -> None:
    pretrain = arguments.add(
        "pretrain",
        _pretrain,
        "train a base network on the snapshots of several networks",
        "--out base.safetensors --snapshot A --snapshot B",
        more="An hour on one core. If it was interrupted, the same command goes on where it was.",
    )
    pretrain.add_argument(
        "--snapshot", metavar="FOLDER", action="append", required=True, help="a snapshot of a training; can be repeated"
    )
    pretrain.add_argument("--out", metavar="FILE", required=True, help="the file to write")
    pretrain.add_argument("--steps", metavar="N", type=int, help="training steps (default: 12000)")
    pretrain.add_argument("--seed", metavar="N", type=int, help="(default: 1)")
    pretrain.add_argument("--leave-out", metavar="STATION", nargs="*", default=[], help="stations to try it on later")


def _down(args: argparse.Namespace) -> None:
    from daycast.service.supervisor import stop
    from daycast.settings import load_settings

    settings = load_settings(args.config)
    if stop(settings.data / "prefect"):
        print("down")
    elif settings.demonstration and stop(settings.demonstration / "prefect"):
        print("down: that was the demonstration")
    else:
        print("daycast was not up")


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
    server = find_server(home, url)
    server.check()
    print(trigger(server, args.flow, args.parameters, dry_run=args.dry_run))


def _deploy(args: argparse.Namespace) -> None:
    from daycast.service.deploy import deploy
    from daycast.service.server import find_server
    from daycast.settings import load_settings

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise ConfigError("no Prefect server is named: set PREFECT_API_URL, or run everything here with `daycast up`")
    settings = load_settings(args.config)
    server = find_server(settings.data / "prefect", url)
    server.check()
    deploy(server, settings.live)


def _sources(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps import serving

    settings, now = load_settings(args.config), clock()
    if args.action == "list":
        print("\n".join(map(str, serving.list_sources(settings, now))))
        return
    if not args.name:
        raise ConfigError(f"`daycast sources {args.action}` needs the name of a source: see `daycast sources list`")
    change = serving.retire if args.action == "retire" else serving.restore
    print(change(settings, args.name, now))


def _maintain(args: argparse.Namespace) -> None:
    maintain = load_flow(args, "maintain")
    print(
        f"{'would remove' if args.dry_run else 'removed'} {maintain(args.config, args.until, args.dry_run, args.recheck)}"
    )


def _migrate_warehouse(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.maintain import migrate_warehouse

    for table, rows in migrate_warehouse(load_settings(args.config), args.to, clock()).items():
        print(f"{table}: {rows:,} rows, the same in both")


def _pretrain(args: argparse.Namespace) -> None:
    from daycast.model.base.pretrain import PretrainConfig, pretrain
    from daycast.settings import load_settings

    given = {name: getattr(args, name) for name in ("steps", "seed") if getattr(args, name) is not None}
    device = load_settings(args.config).model.device
    pretrain([Path(one) for one in args.snapshot], Path(args.out), PretrainConfig(**given), device, args.leave_out)
    print(args.out)
