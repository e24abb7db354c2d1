"""What looks like a secret is not shown, and what people need is."""

import json
import logging
import pickle
import random
import string
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daycast.errors import ConfigError
from daycast.redact import MASK, Redacting, one_line, redact
from daycast.settings import Settings
from daycast.variables import BUILT_IN

NAMED = [
    "postgresql://daycast:{}@db.example:5432/weather",
    "postgresql:/daycast:{}@db.example/weather",  # as a path shows it
    "'postgresql://daycast:{} more@db.example/weather' cannot be reached",
    "daycast:{}@db.example/weather",
    "https://{}@example.org/readings.csv",
    "host=db user=daycast password={} dbname=weather",
    "host=db password = '{} more' dbname=weather",
    "https://api.example.org/v1/forecast?latitude=52&key={}",
    "wss://example.org/#{}",
    "'/ping?key={}' (found at least ' ')",
    "Authorization: Bearer {}",
    "{{'Authorization': 'Basic {}'}}",
    "{{'X-API-Key': '{}'}}",
    "x-auth-token: {}",
    '{{"client_secret": "{}", "id": 1}}',
    "DAYCAST_TOKEN={}",
    "create secret (type s3, key_id 'a', secret '{}')",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
]
PASSWORDS = st.text(string.ascii_letters + string.digits + "!$%^*~.-_+", min_size=10, max_size=60)


@pytest.mark.parametrize("text", NAMED)
@given(password=PASSWORDS)
def test_what_stands_where_secrets_stand_is_not_shown(text: str, password: str) -> None:
    assume(password not in text)
    shown = redact(f"source 'garden': {text.format(password)}")
    assert password not in shown
    assert MASK in shown
    assert shown.startswith("source 'garden': ")
    assert redact(shown) == shown


BASE_62 = string.ascii_letters + string.digits
SHAPES = [
    (BASE_62, 24, "{}"),
    (BASE_62, 40, "ghp_{}"),
    (BASE_62 + "-_", 43, "https://hooks.example/services/T0/B0/{}"),
    (BASE_62 + "+/", 43, "{}="),
    (string.ascii_lowercase + string.digits, 32, "sk-live-{}"),
    ("0123456789abcdef", 32, "data/{}.csv"),
    (BASE_62, 24, "/services/T0/B0/{}"),
    (BASE_62, 40, "http://127.0.0.1:4200/runs/flow-run/{}"),
]


@pytest.mark.parametrize(("letters", "length", "text"), SHAPES)
def test_long_words_that_nobody_made_up_are_not_shown(letters: str, length: int, text: str) -> None:
    words = ["".join(random.Random(seed).choices(letters, k=length)) for seed in range(500)]
    hidden = [word not in redact(f"the server said {text.format(word)!r}") for word in words]
    assert sum(hidden) >= 0.9 * len(words)


def keys(schema: dict) -> list[str]:
    parts = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for part in parts for key in part.get("properties", {})})


NEEDED = st.one_of(
    st.from_regex(r"[A-Z]{2,3}[0-9]{4,9}|[0-9]{6}-[0-9]{5}|0-[0-9]{1,5}-0-[A-Z0-9]{1,16}", fullmatch=True),  # WMO, NOAA
    st.from_regex(
        r"eui-[0-9a-f]{16}|[0-9a-f]{24}|[A-Za-z0-9]{1,19}|[A-Za-z]{1,15}([ _-][0-9A-Za-z]{1,9}){1,3}", fullmatch=True
    ),
    st.uuids().map(str),
    st.from_regex(r"(gru|lstm|ridge)-20[0-9]{6}-[0-9a-f]{8}|[0-9a-f]{12}|[0-9a-f]{16}", fullmatch=True),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])).map(
        lambda moment: moment.isoformat()
    ),
    st.from_regex(
        r"(/[A-Za-z0-9_.#\[-]{1,19}){1,6}|(\./|\.\./)?[a-z]{1,9}/[A-Za-z0-9_-]{1,15}\.(csv|toml)", fullmatch=True
    ),
    st.from_regex(r"/var/lib/overlay/[0-9a-f]{64}/data|/nix/store/[0-9a-z]{32}-python3/bin", fullmatch=True),
    st.sampled_from([*BUILT_IN, *keys(Settings.model_json_schema()), "DAYCAST_ALERT_URL", "http.credential.parameter"]),
    st.sampled_from(
        ["http://127.0.0.1:4200/api", "https://www.ncei.noaa.gov/data/x/USW00094728.csv", "s3://bucket/a/b"]
    ),
    st.sampled_from(["runs/flow-run", "runs/task-run", "artifacts/artifact"]).flatmap(
        lambda page: st.uuids().map(lambda which: f"http://127.0.0.1:4200/{page}/{which}")
    ),
    st.floats(allow_nan=False).map(str),
    st.timedeltas().map(str),
)
SAID = [
    "station {!r} is silent",
    "{} cannot be read: restore it",
    "unknown key {!r}",
    "hidden: wrong (it is {!r})",
    "{}",
]


@pytest.mark.parametrize("said", SAID)
@given(needed=NEEDED)
def test_ids_paths_times_and_names_are_shown(said: str, needed: str) -> None:
    assert redact(said.format(needed)) == said.format(needed)


@given(st.text(), st.sampled_from(NAMED))
def test_redacting_twice_changes_nothing_more(text: str, named: str) -> None:
    once = redact(f"{text} {named.format(text)}")
    assert redact(once) == once


@pytest.mark.parametrize("piece", ["a:/", "a-", "x", "a:b", "key='", "password=", "'", "https://", "bearer ", "token"])
def test_a_long_text_is_redacted_whole(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert len(redact(f"{text} password=hush12")) <= len(text) + 16
    assert "hush12" not in redact(f"{text} password=hush12")


def test_an_error_holds_no_secret_however_it_is_shown() -> None:
    error = ConfigError("'postgresql://me:hush@db/weather' is no name")
    for shown in (str(error), repr(error), str(error.args), str(pickle.loads(pickle.dumps(error)))):  # noqa: S301 - our own
        assert "hush" not in shown
        assert "@db/weather' is no name" in shown


def test_one_line_is_one_and_nothing_in_it_reaches_the_terminal() -> None:
    assert one_line("first\n  second \r\n\x1b[31mred \udcff") == "first second \\x1b[31mred \\udcff"


def test_a_record_of_the_log_and_its_traceback_hold_no_secret() -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(handler.format(record))  # type: ignore[method-assign]
    log = logging.getLogger("test_redact")
    log.addFilter(Redacting())
    log.addHandler(handler)
    try:
        raise ValueError("https://me:hush@example.org")  # noqa: TRY301
    except ValueError:
        log.exception("asking %s with %s failed", "garden", json.dumps({"token": "hush"}))
    log.error("%d stations", "few")  # a mistake of ours, which must not end the run
    log.error("100 % dry")
    log.warning("station %s is silent", "\x1b]52;c;cm0=\a\n12:00:00 all is well\u202e\x9b")
    assert "hush" not in said[0]
    assert "asking garden with" in said[0]
    assert "ValueError: https://…@example.org" in said[0]
    assert said[1] == "%d stations ('few',)"
    assert said[2] == "100 % dry"
    # a name cannot command the terminal, nor forge a line
    assert said[3] == r"station \x1b]52;c;cm0=\x07 12:00:00 all is well\u202e\x9b is silent"


def test_no_record_of_daycast_or_of_a_failed_run_passes_unseen() -> None:
    import daycast.flows  # noqa: F401

    for name in ("daycast", "prefect.flow_runs", "prefect.task_runs"):
        assert any(isinstance(one, Redacting) for one in logging.getLogger(name).filters), name
