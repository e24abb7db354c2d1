"""The first commands of a new user, in their order: `init`, `doctor`, `run` and `up`."""

import argparse
import re
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
    _add_init(arguments)
    arguments.add(
        "doctor",
        _doctor,
        "check configuration, sources, warehouse and machine",
        more="Prints one line for each check, and below each source what ingest would make of it: some readings, which hours "
        "they cover, what is missing, the daily cycle, the rain. Nothing is stored. The exit status is 1 if a check fails.",
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


def _add_init(arguments: Arguments) -> None:
    init = arguments.add(
        "init",
        _init,
        "write a commented daycast.toml",
        "--from readings/garden.csv",
        more="It shows every setting with its default value. An existing file is never overwritten.",
    )
    init.add_argument(
        "--from",
        dest="sample",
        metavar="FILE",
        help="look at a file of readings, or the newest of a folder or pattern, and write the [[sources]] table for it",
    )
    init.add_argument("--print", action="store_true", help="print the table for --from FILE, and write nothing")


def add_cell(parser: argparse.ArgumentParser) -> None:
    """Add `--cell` to a command that may train."""
    parser.add_argument("--cell", choices=get_args(Cell), help="the recurrent cell; auto trains GRU and LSTM")


def _init(args: argparse.Namespace) -> None:
    from daycast.settings import DEFAULT_FILE

    path = Path(args.config or DEFAULT_FILE)
    if args.print:
        if not args.sample:
            raise ConfigError("--print prints the table for a file: name one with --from FILE")
        print(_table_for(args.sample, path), end="")
        return
    or_print = ", or add --print to see the table for the file" if args.sample else ""
    exists = ConfigError(f"{path} exists already: edit it, or name another file with --config{or_print}")
    if path.exists():
        raise exists
    text = (Path(__file__).parents[1] / "template.toml").read_text(encoding="utf-8")
    if args.sample:
        table = _table_for(args.sample, path)
        text = _SIMULATED.sub(lambda _: table, text, count=1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise exists from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    then = "look at each guess in it, then `daycast doctor`" if args.sample else "edit it, then `daycast run`"
    print(f"wrote {path}: {then}")


# the network of the template, in whose place the table for a file is written
_SIMULATED = re.compile(r'^# [^\n]*simulated[^\n]*\n\[\[sources\]\]\nkind = "simulated"\n(?:[^\n]+\n)*', re.MULTILINE)


def _table_for(sample: str, path: Path) -> str:
    from daycast.settings import clock
    from daycast.steps.propose import propose_source

    return propose_source(Path(sample), path.parent, clock())


def _doctor(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.doctor import examine

    findings = []
    for finding in examine(load_settings(args.config), clock(), clock(args.until)):
        print("\n".join(finding.lines()), flush=True)
        findings.append(finding)
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
