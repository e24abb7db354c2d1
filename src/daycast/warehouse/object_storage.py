"""A lake's rows on object storage: how DuckDB comes to read and write them, and what is said where it cannot.

Credentials come from the environment alone, under the names that every client of S3 knows, and stay in the memory of one
connection. DuckDB's own messages are not passed on: they hold many lines, and what a server answered.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import duckdb

from daycast.errors import ConfigError, WarehouseError
from daycast.warehouse.statements import literal

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_TO_FIND_OUT = {"http_timeout": 5, "http_retries": 1}  # seconds, and times: what never answers is given up after 10 s
_TO_WORK = {"http_timeout": 60, "http_retries": 3}  # a part of a large file may take long
_WAYS_OUT = {
    "301": "it lies in another region, set AWS_REGION",
    "400": "is AWS_REGION its region?",
    "403": "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is wrong, AWS_SESSION_TOKEN has ended, or they may not do that",
    "404": "the bucket, or what the lake has in it, is missing",
}


def is_on_object_storage(data: str) -> bool:
    """Whether a lake's rows are in a bucket, not in a folder."""
    return data.startswith("s3://")


@contextmanager
def object_storage(con: duckdb.DuckDBPyConnection, data: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Within the block `con`, which has loaded httpfs, reads and writes below `data`, s3://bucket/prefix.

    Asks once whether the bucket can be listed; what does not answer is given up after 10 s. Raises ConfigError where the
    environment lacks a credential, WarehouseError where the bucket is absent, refuses or is out of reach, then or in the block.
    """
    server = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    secret = _secret(data, server, environment)
    given = ", ".join(f"{name} ${name}" for name in secret)
    con.execute(f"create temporary secret rows_of_the_lake (type s3, {given})", secret)
    if authorities := environment.get("AWS_CA_BUNDLE"):
        con.execute(f"set ca_cert_file = {literal(authorities)}")
    with _explained(data, server):
        _configure(con, _TO_FIND_OUT)
        con.execute(f"from glob({literal(data.rstrip('/') + '/no object is called this*')})").fetchall()
        _configure(con, _TO_WORK)
        yield


def _secret(data: str, server: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What DuckDB is told of this place, and of none beside it; a secret somebody stored for the bucket gives way to it."""
    if missing := [name for name in _KEYS if not environment.get(name)]:
        raise ConfigError(f"{' and '.join(missing)} must be set: {data} is read and written with that key")
    return {
        "scope": data.rstrip("/") + "/",
        "key_id": environment[_KEYS[0]],
        "secret": environment[_KEYS[1]],
        "session_token": environment.get("AWS_SESSION_TOKEN", ""),
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        **(_server(server) if server else {}),
    }


def _server(server: str) -> dict[str, str]:
    """What is said of one that is not Amazon's: its buckets are named in paths, not in host names."""
    if not re.fullmatch(r"https?://[^\s/@?#]+/?", server):
        raise ConfigError(
            "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is no server: write https://host or http://host:port"
        )
    address = urlsplit(server)
    return {"endpoint": address.netloc, "url_style": "path", "use_ssl": str(address.scheme == "https")}


def _configure(con: duckdb.DuckDBPyConnection, settings: Mapping[str, int]) -> None:
    for name, value in settings.items():
        con.execute(f"set {name} = {value}")


@contextmanager
def _explained(data: str, server: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if "HTTP" not in str(error):
            raise
        raise WarehouseError(f"{data} {_what_is_wrong(str(error), server or 'Amazon S3')}") from None


def _what_is_wrong(message: str, server: str) -> str:
    status = re.search(r"\bHTTP (?:code )?([1-5]\d\d)\b", message)
    if status is None:
        why = re.search(r"([\w ]+) error for HTTP", message)
        return f"is out of reach, {server}: {why[1].strip() if why else 'no answer'}"
    name = re.search(r"^([A-Z]\w+): ", message, re.MULTILINE)
    answer = f"{status[1]} {name[1]}" if name else status[1]
    return f"is refused by {server}, HTTP {answer}: {_WAYS_OUT.get(status[1], 'try again later')}"
