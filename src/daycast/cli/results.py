"""Commands that show results: `sql` (the tables), `report` (the page) and `models`."""

import argparse
import sys
from pathlib import Path

from daycast.cli.arguments import Arguments
from daycast.cli.output import print_frame, terminal_width, to_json
from daycast.errors import ConfigError


def add_results(arguments: Arguments) -> None:
    """Add `sql`, `report` and `models`."""
    sql = arguments.add(
        "sql",
        _sql,
        "query the published tables, read-only",
        "\"from next_hours where station_id = 'S0001'\"",
        more="Reads the published file, never the warehouse, so that no query delays a forecast. Of several statements each "
        "result is shown.",
    )
    sql.add_argument(
        "query",
        nargs="?",
        metavar="QUERY",
        help="in DuckDB's SQL; `show tables` lists the tables; - or none: read from standard input",
    )
    sql.add_argument("-f", "--file", metavar="FILE", help="read the statements from FILE")
    sql.add_argument(
        "--format",
        choices=["table", "csv", "json"],
        default="table",
        help="table (default) fits the terminal and rounds; csv and json are complete",
    )
    arguments.add(
        "report",
        _report,
        "write the report page",
        "--config garden.toml",
        more="Prints the path of the HTML file, which any browser opens without a server.",
        until="show the forecasts, observations and silent stations of T",
    )
    models = arguments.add(
        "models",
        _models,
        "list the models, show one, promote one, or roll back",
        "list",
        more="`promote ID` makes a model the champion, whatever its holdout scores; `rollback` brings back the champion "
        "before the present one.",
    )
    models.add_argument("action", choices=["list", "show", "promote", "rollback"], help="what to do")
    models.add_argument("model_id", nargs="?", metavar="ID", help="the model to show or promote")
    models.add_argument(
        "--format", choices=["table", "json"], default="table", help="for list and show (default: table)"
    )
    models.add_argument("--dry-run", action="store_true", help="only say which model would replace which")


def _sql(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings
    from daycast.warehouse.publish.query import query_each

    for number, frame in enumerate(
        query_each(load_settings(args.config).published, _read_query(args.query, args.file))
    ):
        if number and args.format != "json":
            print()
        print_frame(frame, args.format)


def _read_query(query: str | None, file: str | None) -> str:
    """The text of the statements, from the argument, a file or standard input."""
    if query is not None and file is not None:
        raise ConfigError("`daycast sql` takes either QUERY or --file, not both")
    if query not in (None, "-"):
        return str(query)
    if file is None and query is None and sys.stdin.isatty():
        raise ConfigError('`daycast sql` needs a query: daycast sql "show tables", --file FILE, or standard input')
    try:
        return Path(file).read_text("utf-8-sig") if file not in (None, "-") else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file or 'standard input'} is not text in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def _report(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps.publish import write_report

    until = clock(args.until) if args.until else None
    print(write_report(load_settings(args.config), clock(), until))


def _models(args: argparse.Namespace) -> None:
    from daycast.settings import clock, load_settings
    from daycast.steps import registry

    settings, now = load_settings(args.config), clock()
    if args.action in ("show", "promote") and not args.model_id:
        raise ConfigError(f"`daycast models {args.action}` needs the id of a model: see `daycast models list`")
    if args.action == "list" and args.format == "json":
        print_frame(registry.list_models(settings, now), "json")
    elif args.action == "list":
        from daycast.report.model_card import render_models

        print(render_models(registry.list_models(settings, now), terminal_width()), end="")
    elif args.action == "show" and args.format == "json":
        print(to_json(registry.show_model(settings, args.model_id, now), indent=2))
    elif args.action == "show":
        from daycast.report.model_card import render_model

        print(render_model(registry.describe_model(settings, args.model_id, now), terminal_width()), end="")
    elif args.action == "promote":
        print(registry.promote(settings, args.model_id, now, dry_run=args.dry_run))
    else:
        print(registry.rollback(settings, now, dry_run=args.dry_run))
