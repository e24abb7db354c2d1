"""The first and the last command of a user: a configuration to edit, and a query of what came of it."""

import argparse
from pathlib import Path

from daycast.cli.arguments import Arguments
from daycast.cli.output import print_frame
from daycast.errors import ConfigError


def add_init(arguments: Arguments) -> None:
    """`init`."""
    arguments.add("init", _init, "write a commented daycast.toml")


def add_sql(arguments: Arguments) -> None:
    """`sql`."""
    sql = arguments.add(
        "sql", _sql, "query the published file, read-only", "\"from next_hours where station_id = 'S0001'\""
    )
    sql.add_argument("query", help="in DuckDB's SQL; `show tables` lists what there is")
    sql.add_argument(
        "--format",
        choices=["table", "csv", "json"],
        default="table",
        help="table fits the terminal and rounds (default); csv and json are whole",
    )


def _init(args: argparse.Namespace) -> None:
    from daycast.settings import DEFAULT_FILE

    path = Path(args.config or DEFAULT_FILE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write((Path(__file__).parents[1] / "template.toml").read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError(f"{path} is there already: edit it, or name another with --config") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    print(f"wrote {path}: edit it, then `daycast run`")


def _sql(args: argparse.Namespace) -> None:
    from daycast.settings import load_settings
    from daycast.warehouse.publish.query import query_published

    print_frame(query_published(load_settings(args.config).published, args.query), args.format)
