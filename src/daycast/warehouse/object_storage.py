"""A lake's Parquet files on object storage (S3): give DuckDB access to them, and explain failures in one line.

Credentials come from the environment only, under the usual AWS_… names, and stay in the memory of one connection. DuckDB's own
messages are not passed on, because they span many lines and may quote the server's answer.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import duckdb

from daycast.errors import ConfigError, WarehouseError
from daycast.warehouse.statements import literal

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_TO_FIND_OUT = {"http_timeout": 5, "http_retries": 1}  # s, and times: the first access gives up after 10 s
_TO_WORK = {"http_timeout": 60, "http_retries": 3}  # uploading a part of a large file may take long
_WAYS_OUT = {
    "301": "it is in another region, set AWS_REGION",
    "400": "is AWS_REGION its region?",
    "403": "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is wrong, AWS_SESSION_TOKEN has ended, or they may not do that",
    "404": "the bucket, or what the lake has in it, is missing",
}


def is_on_object_storage(data: str) -> bool:
    """Whether a lake's rows are in an S3 bucket rather than a folder."""
    return data.startswith("s3://")


@contextmanager
def object_storage(con: duckdb.DuckDBPyConnection, data: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Let `con` read and write below `data` (s3://bucket/prefix) within the block. `con` must have loaded httpfs.

    First lists the bucket once, with a limit of 10 s. Raises ConfigError if a credential is missing in `environment`, and
    WarehouseError if the bucket is absent, refuses or does not answer, then or later in the block.
    """
    server = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    secret = _secret(data, server, environment)
    names = ", ".join(f"{name} ${name}" for name in secret)
    con.execute(f"create temporary secret rows_of_the_lake (type s3, {names})", secret)
    if authorities := environment.get("AWS_CA_BUNDLE"):
        con.execute(f"set ca_cert_file = {literal(authorities)}")
    with _explain_failures(data, server):
        _configure(con, _TO_FIND_OUT)
        con.execute(f"from glob({literal(data.rstrip('/') + '/no object is called this*')})").fetchall()
        _configure(con, _TO_WORK)
        yield


def _secret(data: str, server: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The fields of DuckDB's secret. Its scope is exactly `data`, so it wins over any stored secret for the whole bucket."""
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
    """The fields of the secret for a server other than Amazon's: buckets are addressed in paths, not in host names."""
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
def _explain_failures(data: str, server: str) -> Iterator[None]:
    """Turn DuckDB's HTTP errors within the block into WarehouseError."""
    try:
        yield
    except duckdb.Error as error:
        if "HTTP" not in str(error):
            raise
        raise WarehouseError(f"{data} {_describe_failure(str(error), server or 'Amazon S3')}").passing() from None


def _describe_failure(message: str, server: str) -> str:
    status = re.search(r"\bHTTP (?:code )?([1-5]\d\d)\b", message)
    if status is None:
        why = re.search(r"([\w ]+) error for HTTP", message)
        return f"is out of reach, {server}: {why[1].strip() if why else 'no answer'}"
    name = re.search(r"^([A-Z]\w+): ", message, re.MULTILINE)
    answer = f"{status[1]} {name[1]}" if name else status[1]
    return f"is refused by {server}, HTTP {answer}: {_WAYS_OUT.get(status[1], 'try again later')}"
