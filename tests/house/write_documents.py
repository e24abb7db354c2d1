"""Write the documents that say what the code says: commands, settings, tables and benchmarks.

    python tests/house/write_documents.py

`make documents` runs it; a test compares what it writes with what is in the repository.
"""

import argparse
import ast
import inspect
import io
import re
import tempfile
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import duckdb
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from daycast.__main__ import build_parser
from daycast.cli.arguments import GROUPS
from daycast.quality.limits import DEFAULTS, Limits
from daycast.settings import Settings, SourceSettings
from daycast.settings.sections import DeclaredVariable, LakeSettings
from daycast.variables import BUILT_IN, check_column, flag_column
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.statements import leading_comment, statement
from daycast.warehouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
WIDTH = 92
GENERATED = "<!-- Written by tests/house/write_documents.py: run `make documents`, and edit what it reads instead. -->"


def main() -> None:
    """Write every document that differs from what the code says."""
    for path, text in documents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


def documents() -> dict[Path, str]:
    """The text of each generated document by its path."""
    return {
        ROOT / "src/daycast/guide/commands.md": write_commands(),
        ROOT / "src/daycast/guide/settings.md": write_settings(),
        ROOT / "sql/README.md": write_tables(),
        ROOT / "tests/benchmarks/README.md": write_benchmarks(),
    }


# Markdown.


def paragraph(text: str) -> str:
    """The text in lines of at most WIDTH characters."""
    return textwrap.fill(_escaped(text), WIDTH, break_long_words=False, break_on_hyphens=False)


def bullet(text: str) -> str:
    """The same as an item of a list."""
    return textwrap.indent(paragraph(text), "  ").replace("  ", "- ", 1)


def sentence(text: str) -> str:
    """A help text or comment with a capital letter and a full stop; a name keeps its small letter."""
    text = text.strip().rstrip(";,:")
    if not text:
        return ""
    if re.match(r"[a-z]+\b(?![_.:/(=])", text) and not text.startswith("daycast"):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def joined(blocks: Iterable[str]) -> str:
    """Blocks with an empty line between them, none of them empty."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def listed(items: Iterable[str]) -> str:
    """A list, without empty lines."""
    return "\n".join(bullet(item) for item in items)


def _escaped(text: str) -> str:
    """The text with what Markdown would take for emphasis or HTML escaped, except in code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if i % 2 else re.sub(r"([*]|<(?=[A-Za-z/!]))", r"\\\1", part) for i, part in enumerate(parts))


# The commands, as the parser knows them.


def write_commands() -> str:
    """src/daycast/guide/commands.md."""
    parser = build_parser()
    commands = next(action.choices for action in parser._actions if isinstance(action.choices, dict))
    blocks = [
        "# Commands",
        GENERATED,
        paragraph(
            "`daycast COMMAND --help` says the same. Every command takes `--config FILE`: the configuration to use instead of "
            "`daycast.toml`, or of the file that `DAYCAST_CONFIG` names. Times (`T`) are ISO 8601, in UTC unless they carry an "
            "offset, for example `2026-05-01` or `2026-05-01T06:00+02:00`. The exit status is 0 only when the work was done."
        ),
    ]
    for title, names in GROUPS.items():
        blocks.append(f"## {title[0].upper()}{title[1:]}")
        for name in names:
            blocks += _command(name, commands[name])
    return joined(blocks)


def _command(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    yield f"### `daycast {name}`"
    yield paragraph(sentence(command.description or ""))
    own = [action for action in command._actions if action.dest not in {"help", "config"}]
    yield listed(_argument(action) for action in own)
    example = (command.epilog or "").removeprefix("example: ")
    yield f"Example: `{example}`" if example != f"daycast {name}" else ""


def _argument(action: argparse.Action) -> str:
    name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
    value = str(action.metavar) if action.option_strings and action.metavar else ""
    more = " …" if action.nargs in {"+", "*"} else ""
    shown = f"`{' '.join(part for part in (name, value) if part)}{more}`"
    told = action.help or ""
    if action.choices:
        shown += f" ({_one_of(map(str, action.choices))})"
    if action.required and action.option_strings:
        shown += " (required)"
    elif not action.required and not action.option_strings:
        shown += " (optional)"
    if action.default and "(default" not in told and isinstance(action.default, str):
        told = f"{told} (default {action.default})" if told else f"default {action.default}"
    return f"{shown}: {told}" if told else shown


def _one_of(values: Iterable[str]) -> str:
    *most, last = [f"`{value}`" for value in values]
    return f"{', '.join(most)} or {last}" if most else last


# The settings, as their definitions say, explained by the comments of the template.


@dataclass
class Template:
    """What template.toml says of each key: its comment and the value it shows; by section, and by section and key."""

    intros: dict[str, str] = field(default_factory=dict)
    comments: dict[tuple[str, str], str] = field(default_factory=dict)
    values: dict[tuple[str, str], str] = field(default_factory=dict)


def read_template() -> Template:
    """Read the template; the section of a source is `sources.KIND`."""
    found, section, prose = Template(), "", list[str]()
    for line in (ROOT / "src/daycast/template.toml").read_text(encoding="utf-8").splitlines():
        bare = line.removeprefix("#").strip()
        if header := re.fullmatch(r"(\[\[?)([\w.]+)\]\]?\s*(?:#\s*(.*))?", bare):
            if header[2] == "sources.columns":
                found.comments.setdefault((section, "columns"), header[3] or "")
                section += ".columns"
            else:
                section = header[2]
                found.intros.setdefault(section, " ".join(prose) or header[3] or "")
                source_intro = " ".join(prose)
        elif assigned := re.match(r"(\w+)\s*=\s*(.*)", bare):
            key, (value, comment) = assigned[1], _split_comment(assigned[2])
            if section.startswith("sources") and key == "kind":
                section = f"sources.{value.strip(chr(34))}"
                found.intros.setdefault(section, source_intro)
            found.comments.setdefault((section, key), comment)
            found.values.setdefault((section, key), value)
        elif bare and line.startswith("#"):
            prose.append(bare)
            continue
        prose = []
    return found


def _split_comment(text: str) -> tuple[str, str]:
    """A TOML value and the comment behind it."""
    in_text = False
    for i, sign in enumerate(text):
        if sign == '"':
            in_text = not in_text
        elif sign == "#" and not in_text:
            return text[:i].strip(), text[i + 1 :].strip()
    return text.strip(), ""


def write_settings() -> str:
    """src/daycast/guide/settings.md."""
    template = read_template()
    blocks = [
        "# Settings",
        GENERATED,
        paragraph(
            "`daycast init` writes a `daycast.toml` with all of them. What is left out keeps its default, a key that does not "
            "exist is refused, and paths are relative to the folder of the file. Any single value can be overridden by the "
            "environment: `DAYCAST_DATA=/srv/daycast`, `DAYCAST_MODEL__CELL=lstm` (two underscores between section and key). "
            "`DAYCAST_CONFIG` names the file to read."
        ),
        "## Top level",
        bullet(_key("", "data", Settings, template)),
        "## `[warehouse.lake]`",
        *_section("warehouse.lake", LakeSettings, template),
        *_sources(template),
        "## `[variables.NAME]`",
        *_section("variables.soil_moisture_pct", DeclaredVariable, template),
    ]
    for name in _names(Settings):
        if name == "quality":
            blocks += _quality(template)
        elif name not in {"data", "sources", "variables", "warehouse"}:
            blocks += [f"## `[{name}]`", *_section(name, _fields(Settings)[name].annotation, template)]
    return joined(blocks)


def _section(name: str, kind: Any, template: Template) -> Iterator[str]:
    """The keys of a section: what its class says of itself, or the template, and a line for each key."""
    yield paragraph(sentence(template.intros.get(name) or _first_line(kind)))
    yield listed(_key(name, key, kind, template) for key in _names(kind) if key != "kind")


def _sources(template: Template) -> Iterator[str]:
    yield "## `[[sources]]`"
    yield paragraph(
        "Each table is a source, with a `name` of its own and a `kind` that says how it is read. Without any table there is one "
        "simulated network."
    )
    inner = set[str]()
    for kind in get_args(get_args(SourceSettings)[0]):
        name = _fields(kind)["kind"].default
        yield f'### `kind = "{name}"`'
        yield from _section(f"sources.{name}", kind, template)
        inner |= set(_schema(kind).get("$defs", {}))
    yield "### Tables inside a source"
    classes = {owner.__name__: owner for owner in _descendants(BaseModel) if owner.__name__ in inner}
    for name, owner in sorted(classes.items()):
        yield f"#### {_title(name)}"
        yield from _section("", owner, template)


def _descendants(owner: type) -> Iterator[type]:
    for child in owner.__subclasses__():
        yield child
        yield from _descendants(child)


def _quality(template: Template) -> Iterator[str]:
    yield "## `[quality.VARIABLE]`"
    yield paragraph(sentence(template.intros["quality.air_temperature_c"]))
    comments = _comments(Limits)
    told = {
        name: template.comments.get(("quality.air_temperature_c", name)) or comments.get(name)
        for name in _names(Limits)
    }
    yield listed(f"`{name}`" + (f": {text}" if text else "") for name, text in told.items())
    yield "The defaults; a variable or check that is not named here has none:"
    yield listed(
        f"`{variable}`: "
        + ", ".join(f"{f.name} {v:g}" for f in fields(Limits) if (v := getattr(limits, f.name)) is not None)
        for variable, limits in sorted(DEFAULTS.items())
    )


def _key(section: str, name: str, kind: Any, template: Template) -> str:
    """One line: the key, its default or that it is required, what it may be, what it means, and an example."""
    told = template.comments.get((section, name), "")
    value = template.values.get((section, name), "")
    if not told or told.endswith("as for csv"):
        told = _comments(kind).get(name, "")
    if not told and section.startswith("sources."):
        other = _kind_with_the_same(kind, name, template)
        told, value = template.comments.get((other, name), ""), value or template.values.get((other, name), "")
    schema, default = _schema(kind), _default(kind, name)
    facts = [_type_text(schema["properties"][name], default)]
    facts += ["required"] if name in schema.get("required", ()) else []
    head = f"`{name}` = `{default}`" if default else f"`{name}`"
    return f"{head} ({', '.join(facts)}){_explained(told, value, default)}"


def _kind_with_the_same(kind: Any, name: str, template: Template) -> str:
    """The section of another kind of source whose key of this name is alike and explained; nothing where there is none."""
    own = _schema(kind)["properties"][name]
    for other in get_args(get_args(SourceSettings)[0]):
        section = f"sources.{_fields(other)['kind'].default}"
        comment = template.comments.get((section, name), "or ")
        if comment and not comment.startswith("or ") and _schema(other)["properties"].get(name) == own:
            return section
    return ""


def _explained(told: str, value: str, default: str) -> str:
    """What a comment of the template or beside a field says, and an example where the default is none."""
    told = _code_tables(re.sub(r"\bNone: ", "unset: ", told.strip().rstrip(".")))
    if told.startswith("or ") and value:  # it goes on from the value beside it
        return f": `{value}`, {told}"
    example = f"for example `{value}`" if value and not default and "for example" not in told else ""
    return ": " + "; ".join(part for part in (told, example) if part) if told or example else ""


def _code_tables(text: str) -> str:
    """A comment with its inline tables and quoted values as code."""
    return re.sub(r"(?<![`\w])(\w+ = )?(\{ ?[^{}]*\}|\"[^\"`]*\")", lambda m: f"`{m[0]}`", text)


def _toml(value: object) -> str:
    """A default as the file would have it; nothing where it has no word for it."""
    if value is None or isinstance(value, BaseModel | dict) or value in (PydanticUndefined, MISSING):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{_duration(value)}"'
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{value}" if isinstance(value, int | float) else f'"{value}"'


def _duration(value: timedelta) -> str:
    """A duration as `parse_duration` reads it, in the largest unit that is whole."""
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if value and not value % length:
            return f"{value // length}{unit}"
    return f"{value.total_seconds():g}s"


_PLAIN = {
    "boolean": ("true or false", "true or false"),
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "duration": ("duration", "durations"),
    "date": ("date", "dates"),
    "date-time": ("time", "times"),
}


def _type_text(schema: Mapping[str, Any], default: str = "", *, many: bool = False) -> str:  # noqa: PLR0911 - a line a kind
    """What a value may be, in words."""
    options = [one for one in schema.get("anyOf", schema.get("oneOf", ())) if one.get("type") != "null"]
    if options:
        return " or ".join(_type_text(one) for one in options)
    if "enum" in schema:
        return _one_of(map(str, schema["enum"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "$ref" in schema:
        title = _title(schema["$ref"].rpartition("/")[2])
        return f"table{'s' if many else ''}: [{title}](#{title.replace(' ', '-')})"
    if schema.get("type") == "array":
        return f"list{'s' if many else ''} of {_type_text(schema['items'], many=True)}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        return "table" + (f" of {_type_text(inner, many=True)}" if inner else "")
    kind = "duration" if re.fullmatch(r'"\d+(s|min|h|d|w)"', default) else schema.get("format") or schema.get("type")
    return _PLAIN.get(str(kind), ("text", "texts"))[many] + _range_text(schema)


def _range_text(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f", {schema['minimum']:g} to {schema['maximum']:g}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f", {' and '.join(found)}" if found else ""


def _title(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _names(kind: Any) -> list[str]:
    return list(_schema(kind)["properties"])


def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def _fields(kind: Any) -> dict[str, Any]:
    if is_dataclass(kind):
        return {one.name: one for one in fields(kind)}
    return {one.alias or name: one for name, one in kind.model_fields.items()}


def _default(kind: Any, name: str) -> str:
    return _toml(_fields(kind)[name].default)


def _first_line(kind: Any) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _comments(kind: Any) -> dict[str, str]:
    """The comments beside the fields of a class and its parents, by the names that the file uses."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith("daycast."):
            found |= _comments_of(owner)
    aliases = {one: getattr(f, "alias", None) or one for one, f in getattr(kind, "model_fields", {}).items()}
    return {aliases.get(name, name): comment for name, comment in found.items()}


def _comments_of(owner: type) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(owner))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = [by_line[i] for i in range(node.lineno, (node.end_lineno or node.lineno) + 1) if i in by_line]
            text = " ".join(line.removeprefix("#").strip() for line in lines)
            found[node.target.id] = re.sub(r"noqa:? ?[A-Z0-9, ]+(- )?", "", text).strip()
    return {name: text for name, text in found.items() if text}


# The tables and views of the published file, as it explains itself.


def write_tables() -> str:
    """sql/README.md."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "published.duckdb")
        with Warehouse(Path(folder, "warehouse.duckdb"), BUILT_IN.values()).write(
            datetime(2026, 1, 1, tzinfo=UTC)
        ) as con:
            publish(con, path)
        with duckdb.connect(path, read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            return joined(_table_blocks(con))


def _table_blocks(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    yield "# Tables, views and queries"
    yield GENERATED
    yield paragraph(
        "Analysts read the published file, `data/published.duckdb`: `daycast sql 'from next_hours'` prints a query of it, and "
        "anything that reads DuckDB opens it read-only. It is replaced whole after each run, so a reader never waits and never "
        "sees half a forecast. Times are instants in UTC (`timestamptz`), and the names of quantities end in their unit. Each "
        "comment below is in the file too: `select table_name, comment from duckdb_views()`."
    )
    yield paragraph(
        "Begin with `next_hours` and `latest_forecasts` (what comes), `observations` (what was), `skill_by_lead` and "
        "`calibration` (how good the forecasts are), `champion` (who makes them)."
    )
    yield from _folders()
    yield from _variables()
    known, views = _relations(con), _former_names()
    bases = {name: _columns(con, name) for name in BASES}
    for title, kind in (("Tables", "table"), ("Views", "view")):
        yield f"## {title}"
        for name, comment in sorted((name, told) for name, (what, told) in known.items() if what == kind):
            if name not in views:
                yield from _relation(f"`{name}`", comment or OWN_TABLES_TELL.get(name, ""), _columns(con, name), bases)
    yield from _macros(con, bases)
    if views:
        yield "## Former names"
        yield "Views that keep the old name of a table for one version:"
        yield listed(f"`{old}` is `{new}`" for old, new in sorted(views.items()))
    yield from _cookbook(con)


BASES = ("forecasts", "drifts", "stations", "observations")  # whose columns other tables and views have too
OWN_TABLES_TELL = {
    "history_files": "The Parquet files beside the published file that hold the rows of a table that has grown large.",
    "publication": "Which publication this file is.",
}


FOLDERS = {
    "migrations/": "the schema of the warehouse; each file is applied once, in order, in one transaction, and never edited again",
    "views/": "the public views, made anew whenever one of them changes; the comment at the top is the question a view answers",
    "macros/": "views that take arguments, likewise",
    "queries/": "the statements of the pipeline, by name (`-- name: …`), and in `schema.sql` what each column means",
    "cookbook/": "queries to copy, each for one question",
}


def _folders() -> Iterator[str]:
    yield "## This folder"
    yield listed(f"`{name}`: {told}" for name, told in FOLDERS.items())


def _variables() -> Iterator[str]:
    yield "## Variables"
    methods = {
        "point": "at the hour",
        "sum": "total of the hour ending there",
        "mean": "mean of the hour ending there",
        "maximum": "highest of the hour ending there",
    }
    yield listed(
        f"`{one.name}`: {one.label} in {one.unit}, {methods[one.cell_method]}"
        + ("" if one.target else "; not forecast")
        for one in BUILT_IN.values()
    )
    yield paragraph(
        "A network declares more under `[variables.NAME]`. Each has its columns in the tables below, where `VARIABLE` stands for "
        "the names of all of them."
    )


def _former_names() -> dict[str, str]:
    """The tables that old names stand for, by old name: views that are nothing else."""
    files = sorted((ROOT / "sql/views").glob("*.sql"))
    found = {path.stem: re.search(r"\bas from (\w+);\s*$", path.read_text(encoding="utf-8")) for path in files}
    return {name: match[1] for name, match in found.items() if match}


def _relations(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    """Each table and view with its kind and its comment."""
    return {
        name: (kind, comment or "")
        for name, kind, comment in con.execute(
            "select table_name, 'table', comment from duckdb_tables() "
            "union all select view_name, 'view', comment from duckdb_views() where not internal"
        ).fetchall()
    }


Column = tuple[str, str, str]  # name, type, meaning


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    query = (
        "select column_name, data_type, coalesce(comment, '') from duckdb_columns() "
        "where table_name = ? and not internal order by column_index"
    )
    return con.execute(query, [relation]).fetchall()


def _relation(title: str, comment: str, columns: list[Column], bases: Mapping[str, list[Column]]) -> Iterator[str]:
    """A heading, the comment, and a line for each column; columns that are all those of another table are not told again."""
    yield f"### {title}"
    yield paragraph(comment)
    names = {column[0] for column in columns}
    base = next(
        (base for base, own in bases.items() if f"`{base}`" != title and {one[0] for one in own} <= names), None
    )
    told = {column[0] for column in bases[base]} if base else set[str]()
    rest = [column for column in columns if column[0] not in told]
    if base:
        yield f"The columns of [`{base}`](#{base}){', and:' if rest else '.'}"
    yield listed(_column(*column) for column in _collapsed(rest))


def _column(name: str, type_: str, meaning: str) -> str:
    shown = type_.lower().replace("timestamp with time zone", "timestamptz")
    return f"{name} {shown}" + (f": {meaning}" if meaning else "")


def _collapsed(columns: Iterable[Column]) -> Iterator[Column]:
    """The columns with those of all variables as one line."""
    stands_for = {}
    for variable in BUILT_IN:
        stands_for |= {
            variable: "`VARIABLE`",
            flag_column(variable): f"`{flag_column('VARIABLE')}`",
            check_column(variable): f"`{check_column('VARIABLE')}`",
        }
    told = set[str]()
    for name, type_, meaning in columns:
        shown = stands_for.get(name, f"`{name}`")
        if shown not in told:
            told.add(shown)
            yield shown, type_, re.sub(r"\b[Oo]f air_temperature_c: |\b of air_temperature_c\b", "", meaning)


def _meanings(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    meanings = dict(con.execute(statement("select_column_meanings")).fetchall())
    said = "select column_name, any_value(comment) from duckdb_columns() where comment is not null group by all"
    return {**dict(con.execute(said).fetchall()), **meanings}


def _macros(con: duckdb.DuckDBPyConnection, bases: Mapping[str, list[Column]]) -> Iterator[str]:
    yield "## Macros"
    query = (
        "select function_name, parameters, comment from duckdb_functions() where not internal "
        "and function_type = 'table_macro' order by function_name"
    )
    arguments = {"t": "timestamptz '2026-01-01 00:00Z'", "of_variable": "'air_temperature_c'", "threshold": "0"}
    for name, parameters, comment in con.execute(query).fetchall():
        call = f"from {name}({', '.join(arguments[parameter] for parameter in parameters if parameter in arguments)})"
        shown = ("attached_as := ''" if parameter == "attached_as" else parameter for parameter in parameters)
        yield from _relation(f"`{name}({', '.join(shown)})`", comment, _described(con, call, name), bases)
        yield f"Example: `{call}`"


def _described(con: duckdb.DuckDBPyConnection, query: str, owner: str = "") -> list[Column]:
    meanings = _meanings(con)
    rows = con.execute(f"describe {query}").fetchall()
    return [(row[0], row[1], meanings.get(f"{owner}.{row[0]}") or meanings.get(row[0], "")) for row in rows]


def _cookbook(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    yield "## Cookbook"
    yield paragraph(
        "Each file is one query: `daycast sql -f sql/cookbook/yesterday.sql` runs it. Change its limits and names as you "
        "need them."
    )
    for path in sorted((ROOT / "sql/cookbook").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        yield f"### [{path.name}](cookbook/{path.name})"
        yield paragraph(leading_comment(text))
        if not re.search(r"^pivot\b", text, re.MULTILINE):  # its columns are those of the data
            columns = ", ".join(_column(name, type_, "") for name, type_, _ in _collapsed(_described(con, text)))
            yield paragraph(f"Gives {columns}.")


# The benchmarks, as each explains itself, and what was measured, which is kept from what stands there.

BEGIN, END = "<!-- measured: written by hand -->", "<!-- end of measured -->"


def write_benchmarks() -> str:
    """tests/benchmarks/README.md; what stands between BEGIN and END is kept."""
    folder = ROOT / "tests/benchmarks"
    path = folder / "README.md"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = before.partition(BEGIN)[2].partition(END)[0].strip()
    benchmarks = sorted(folder.glob("bench_*.py"))
    parts = [path for path in sorted(folder.glob("*.py")) if path not in benchmarks]
    return joined([
        "# Benchmarks",
        GENERATED,
        paragraph(
            "Each benchmark is a program, prints one line of JSON a measurement, and compares with a reference that it measures "
            "in the same run: read the ratio, not the seconds. Run one from the top of the clone with `.venv/bin/python "
            "tests/benchmarks/NAME.py`, on a machine that does nothing else. They are no part of `make test`."
        ),
        *(block for path in benchmarks for block in (f"## {path.name}", _reflowed(_docstring(path)), _usage(path))),
        "## Parts that they share",
        listed(f"`{path.name}`: {_docstring(path).partition(chr(10))[0]}" for path in parts),
        "## What was measured",
        "From [EXPERIMENTS.md](EXPERIMENTS.md), which says how, and what else was tried.",
        BEGIN,
        kept,
        END,
    ])  # fmt: skip


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _usage(path: Path) -> str:
    """How to run it, where its docstring does not say so."""
    call = f"python tests/benchmarks/{path.name}"
    return "" if call in _docstring(path) else f"    {call}"


def _reflowed(text: str) -> str:
    """A docstring as Markdown: paragraphs and lists in lines of WIDTH, indented code as it is."""
    return "\n\n".join(_reflow(block) for block in text.split("\n\n"))


def _reflow(block: str) -> str:
    if block.startswith("    "):
        return block
    if block.startswith("- "):
        return listed(re.split(r"\n- ", block.removeprefix("- ")))
    return paragraph(block)


if __name__ == "__main__":
    main()
