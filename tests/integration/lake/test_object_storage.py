"""A lake with its rows in a bucket: nothing is half there, what is wrong is said in one line, and no key is ever shown."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import duckdb
import pytest

from daycast.errors import ConfigError, DaycastError, WarehouseError
from daycast.settings import Settings
from daycast.steps.doctor import examine
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN
from daycast.warehouse import lake as lake_module
from daycast.warehouse import object_storage as module
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.maintenance import delete_old_rows
from daycast.warehouse.warehouse import SETTINGS, Warehouse, transaction
from integration.lake.conftest import BUCKET, KEY, SECRET, Store, serving
from integration.lake.storm_worker import T0, forecasts
from integration.lake.test_same_on_both import on

pytestmark = pytest.mark.slow
NOW = datetime(2026, 2, 1, tzinfo=UTC)
VALUES = "select count(*), count(distinct value), min(value) from forecasts"


@contextmanager
def opened(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(lake, BUILT_IN.values()).write(NOW, wait_s=30) as con:
        yield con


def files(lake: Lake, store: Store) -> list[Path]:
    return sorted((store.folder / lake.data.removeprefix("s3://")).rglob("*.parquet"))


def test_rows_are_written_replaced_read_by_an_analyst_and_deleted_in_a_bucket(
    new_lake_in_a_bucket: Callable[[], Lake], store: Store
) -> None:
    lake = new_lake_in_a_bucket()
    for value in (1.0, 2.0):
        with opened(lake) as con:
            replace_forecasts(con, forecasts(value))
            assert con.execute(VALUES).fetchall() == [(48, 1, value)]
    assert files(lake, store)
    with pytest.raises(WarehouseError, match="altered by hand"), opened(lake) as con:  # is not the bucket's fault
        con.execute("from nowhere")
    with opened(lake) as con:
        assert read_as_an_analyst(lake, store) == [(48, 2.0)]
        assert con.execute("select current_setting('http_timeout')").fetchall() == [(60,)]  # a slow upload is no error
        assert delete_old_rows(con, T0, None, dry_run=False).forecasts == 0
        assert con.execute(VALUES).fetchall() == [(48, 1, 2.0)]
        assert delete_old_rows(con, T0 + DAY, None, dry_run=False).forecasts == 48
        assert con.execute(VALUES).fetchall() == [(0, 0, None)]


def read_as_an_analyst(lake: Lake, store: Store) -> list[tuple[int, float]]:
    """As the README says it."""
    with duckdb.connect(config=SETTINGS) as con:
        for name in ("ducklake", "postgres_scanner", "httpfs"):
            lake_module._load(con, name)
        con.execute(
            f"create secret (type s3, key_id '{KEY}', secret '{SECRET}', region 'us-east-1', scope 's3://{BUCKET}', "
            f"endpoint '{store.url.removeprefix('http://')}', url_style 'path', use_ssl false)"
        )
        con.execute(f"attach 'ducklake:postgres:{lake.catalogue}' as warehouse (read_only); use warehouse")
        return con.execute("select count(*), max(value) from latest_forecasts").fetchall()


DIE = """
import os, signal, sys
from datetime import UTC, datetime
from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse, transaction
from daycast.warehouse.lake import Lake
lake, now = Lake(*sys.argv[1:], os.environ), datetime(2026, 2, 1, tzinfo=UTC)
with Warehouse(lake, BUILT_IN.values()).write(now) as con, transaction(con):
    con.execute("delete from watermarks")
    con.execute("insert into watermarks select 'new' || range, now() from range(1000)")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_had_uploaded_is_not_there(new_lake_in_a_bucket: Callable[[], Lake], store: Store) -> None:
    lake = new_lake_in_a_bucket()
    with opened(lake) as con:
        con.execute("insert into watermarks select 'old' || range, $now from range(1000)", {"now": NOW})
    before = files(lake, store)
    command = [sys.executable, "-c", DIE, lake.catalogue, lake.data]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(files(lake, store)) > len(before)
    with opened(lake) as con:
        seen = "select left(source, 3), count(*) from watermarks group by all"
        assert con.execute(seen).fetchall() == [("old", 1000)]
        con.execute("delete from watermarks where source like '%7'")
        assert con.execute(seen).fetchall() == [("old", 900)]


def lose_while_writing(lake: Lake, store: Store) -> None:
    with opened(lake) as con:
        con.execute("insert into watermarks select 'kept' || range, $now from range(1000)", {"now": NOW})
        with transaction(con):
            con.execute("delete from watermarks where source like '%7'")
            store.process.kill()
            con.execute("insert into watermarks select 'lost' || range, $now from range(1000)", {"now": NOW})


def test_a_store_that_is_lost_while_writing_is_named_and_nothing_of_the_transaction_is_there(
    new_lake_in_a_bucket: Callable[[], Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = new_lake_in_a_bucket()
    with serving(tmp_path) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
        with pytest.raises(WarehouseError) as raised:
            lose_while_writing(lake, store)
        assert str(raised.value) == f"{lake.data} is out of reach, {store.url}: Could not connect to server"
    with serving(tmp_path) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
        with opened(lake) as con:
            seen = "select left(source, 4), count(*) from watermarks group by all"
            assert con.execute(seen).fetchall() == [("kept", 1000)]


NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("environment", "error", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "hush!"}, WarehouseError, "HTTP 403 SignatureDoesNotMatch: AWS_ACCESS_KEY_ID or"),
        ({"AWS_ACCESS_KEY_ID": "NOBODY"}, WarehouseError, "HTTP 403 InvalidAccessKeyId: AWS_ACCESS_KEY_ID or"),
        ({"AWS_ACCESS_KEY_ID": ""}, ConfigError, "^AWS_ACCESS_KEY_ID must be set: s3://cave/"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, ConfigError, "^AWS_SECRET_ACCESS_KEY must be set: s3://cave/"),
        ({"AWS_ENDPOINT_URL_S3": NOWHERE}, WarehouseError, f"^s3://cave/.* is out of reach, {NOWHERE}: Could not"),
        ({"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": NOWHERE}, WarehouseError, f"out of reach, {NOWHERE}: C"),
        ({"AWS_ENDPOINT_URL_S3": "https://me:hush@store"}, ConfigError, "is no server: write https://host"),
        ({"AWS_ENDPOINT_URL_S3": "store:9000"}, ConfigError, "is no server: write https://host"),
    ],
)
def test_what_the_environment_says_wrong_is_named_in_one_line_without_a_secret(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], error: type, said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused(Lake(f"{address}/postgres", f"s3://{BUCKET}/lake", os.environ), error, said)


def refused(lake: Lake, error: type[DaycastError], said: str) -> None:
    with pytest.raises(error, match=said) as raised, opened(lake):
        pass
    assert "\n" not in str(raised.value)
    for secret in (SECRET, "hush"):
        assert secret not in str(raised.value)


def test_a_bucket_that_is_not_there_is_named_and_no_lake_is_made(address: str, store: Store) -> None:
    lake = Lake(f"{address}/postgres", "s3://no-such-cave/lake", os.environ)
    refused(lake, WarehouseError, "^s3://no-such-cave/lake is refused by http://.* HTTP 404 NoSuchBucket: the bucket")
    with duckdb.connect(config=SETTINGS) as con:
        lake_module._load(con, "postgres_scanner")
        con.execute(f"attach '{address}/postgres' as catalogue (type postgres, read_only)")
        assert con.execute("select count(*) from duckdb_tables() where table_name like 'ducklake%'").fetchall() == [
            (0,)
        ]


def test_a_server_that_never_answers_is_given_up(address: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TO_FIND_OUT", {"http_timeout": 1, "http_retries": 0})
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{mute.getsockname()[1]}")
        refused(Lake(f"{address}/postgres", f"s3://{BUCKET}/lake", os.environ), WarehouseError, "Timeout was reached")


def test_a_server_with_a_certificate_of_ones_own_is_trusted_where_the_environment_says_so(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with (
        serving(tmp_path, "--cert", str(certificate), "--key", str(key)) as store,
        duckdb.connect(config=SETTINGS) as con,
    ):
        lake_module._load(con, "httpfs")
        given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        given["AWS_ENDPOINT_URL_S3"] = store.url.replace("http://", "https://")
        with (
            pytest.raises(WarehouseError, match=r"out of reach, https://127.0.0.1:\d+: SSL peer certificate"),
            module.object_storage(con, f"s3://{BUCKET}/p", given),
        ):
            pass
        con.execute("drop secret rows_of_the_lake")
        with module.object_storage(con, f"s3://{BUCKET}/p", given | {"AWS_CA_BUNDLE": str(certificate)}):
            con.execute(f"copy (select 42 as answer) to 's3://{BUCKET}/p/a.parquet'")
            assert con.execute(f"from 's3://{BUCKET}/p/a.parquet'").fetchall() == [(42,)]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "certificate", folder / "key"


def test_the_doctor_says_whether_the_bucket_is_within_reach(
    new_lake_in_a_bucket: Callable[[], Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = new_lake_in_a_bucket()
    settings = on(lake, Settings.model_validate({}, context={"folder": tmp_path}))

    def warehouse() -> str:
        return next(str(finding) for finding in examine(settings, NOW + HOUR) if finding.check == "warehouse")

    assert warehouse().startswith(f"ok   warehouse: {lake} with its rows at {lake.data}")
    with socket.socket() as deaf:  # holds a port, and does not listen
        deaf.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert warehouse().startswith(f"FAIL warehouse: {lake.data} is out of reach, http://127.0.0.1:")
