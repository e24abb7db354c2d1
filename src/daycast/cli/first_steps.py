"""The first commands of a new user, in their order: `init`, `doctor`, `run` and `up`."""

import argparse
import shlex
import shutil
import sys
from pathlib import Path
from typing import get_args

from daycast.cli.arguments import Arguments
from daycast.cli.flows import load_flow
from daycast.cli.output import terminal_width
from daycast.errors import ConfigError
from daycast.model.config import Cell


def add_first_steps(arguments: Arguments) -> None:
    """Add `init`, `doctor`, `run` and `up`."""
    arguments.add(
        "init",
        _init,
        "write a commented daycast.toml",
        more="It shows every setting with its default value. An existing file is never overwritten.",
    )
    arguments.add(
        "doctor",
        _doctor,
        "check configuration, sources, warehouse and machine",
        more="Prints one line for each check. The exit status is 1 if a check fails.",
        until="ask the sources for what was received up to T",
    )
    run = arguments.add(
        "run",
        _run,
        "run the whole pipeline once, from readings to report",
        more="Its stages are: ingest, retrain if due, forecast, verify, publish, report. If a stage fails, the others "
        "still run. Prints a summary of what was done.",
        until="use nothing that was received, registered or issued after T",
    )
    add_cell(run)
    up = arguments.add(
        "up",
        _up,
        "keep it running by itself: server, workers, schedules",
        "--detach",
        more="Starts a Prefect server on 127.0.0.1, its workers and all schedules, and restarts whatever dies, until "
        "Ctrl-C or `daycast down`.",
    )
    up.set_defaults(ends_by_itself=True)  # it stops its processes in order, which takes longer than other commands may
    up.add_argument(
        "--port", type=int, metavar="N", help="the server's port on 127.0.0.1 (default: 4200, or any free one)"
    )
    up.add_argument("--detach", action="store_true", help="return once everything is up, and leave it running")


def add_cell(parser: argparse.ArgumentParser) -> None:
    """Add `--cell` to a command that may train."""
    parser.add_argument("--cell", choices=get_args(Cell), help="the recurrent cell; auto trains GRU and LSTM")


def _init(args: argparse.Namespace) -> None:
    from daycast.settings import DEFAULT_FILE

    path = Path(args.config or DEFAULT_FILE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write((Path(__file__).parents[1] / "template.toml").read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError(f"{path} exists already: edit it, or name another file with --config") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    print(f"wrote {path}: edit it, then `daycast run`")


def _doctor(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.doctor import examine

    findings = list(examine(load_settings(args.config), clock(), clock(args.until)))
    for finding in findings:
        print(finding)
    if failed := [finding for finding in findings if not finding.ok]:
        raise ConfigError(f"{len(failed)} of {len(findings)} checks failed")


def _run(args: argparse.Namespace) -> None:
    pipeline = load_flow(args, "pipeline")
    from daycast.report.summary import render_summary

    print(render_summary(pipeline(args.config, args.until, args.cell), terminal_width(), _sql_command(args)))


def _sql_command(args: argparse.Namespace) -> str:
    """`daycast sql` as this user has to type it, in this folder and with this configuration."""
    program = "daycast" if shutil.which("daycast") or Path(sys.argv[0]).stem != "daycast" else sys.argv[0]
    return shlex.join([program, "sql", *(["--config", args.config] if args.config else [])])


def _up(args: argparse.Namespace) -> None:
    from daycast.service.supervisor import find_entry
    from daycast.service.up import up, up_detached
    from daycast.settings import find_config, load_settings

    settings = load_settings(args.config)
    if entry := find_entry(settings.data / "prefect"):
        print(
            f"is up: open {entry}", flush=True
        )  # a repetition is how people find the address again; then it is refused
    if args.detach:
        given = {"--config": args.config, "--port": args.port}
        options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        print(up_detached(options, settings.data / "prefect"))
        return
    up(settings, find_config(args.config), args.port, lambda line: print(line, flush=True))
