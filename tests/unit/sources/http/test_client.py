"""The client against a real server that misbehaves."""

import gzip
import logging
import time
import tracemalloc
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from threading import Thread

import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import Stop, StoppedError, current_stop
from daycast.sources.http import response as http_response
from daycast.sources.http.client import Client, Credential, HttpSettings
from daycast.sources.http.response import PermanentError
from unit.sources.http_server import Answer, Request, serve

SECRET = "pa ss/w0rd&x"  # noqa: S105 (made up, with characters that addresses escape)
GOOD = b'{"a": 1}'
NEVER_S = 3600.0  # later than anybody waits
QUICK = {"timeout": timedelta(minutes=1), "requests_per_second": 1e6}


class Sleeps(list):
    """Stands in for time.sleep and remembers what it was asked for."""

    def __call__(self, seconds: float) -> None:
        if seconds >= 0.01:  # less is the pace between requests
            self.append(seconds)


@pytest.fixture
def sleeps():
    return Sleeps()


@pytest.fixture
def client(sleeps):
    with Client(HttpSettings(**QUICK, retries=3), {}, sleeps) as client:
        yield client


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """One answer after the other, the last for ever."""
    return lambda request: answers[min(request.number, len(answers) - 1)]


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(SourceError) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_json_is_read_and_parameters_are_sent_as_given(client):
    with serve(in_turn(Answer(body=GOOD))) as server:
        assert client.get_json(f"{server.url}/v1/x?b=c%20d", {"t": "2024-01-01T00:00:00+01:00", "f": "x eq 'é'"}) == {
            "a": 1
        }
    [request] = server.requests
    assert request.path == "/v1/x"
    assert request.query == {"b": "c d", "t": "2024-01-01T00:00:00+01:00", "f": "x eq 'é'"}
    assert request.headers["User-Agent"].startswith("daycast/")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(client, sleeps, status):
    with serve(in_turn(Answer(status=status), Answer(status=status), Answer(body=GOOD))) as server:
        assert client.get_json(server.url) == {"a": 1}
    assert len(server.requests) == 3
    first = 15 if status == 429 else 1  # seconds; up to half of them are taken off
    assert [first / 2 <= sleeps[0] <= first, first <= sleeps[1] <= 2 * first] == [True, True]


@pytest.mark.parametrize(
    "bad",
    [
        Answer(body=GOOD, truncate_to=3),
        Answer(body=GOOD, truncate_to=0),
        Answer(body=b'{"a": [1, 2'),
        Answer(body=b"\xff\xfe\x00"),
        Answer(body=b"<html>down for repair</html>", content_type="text/html; charset=utf-8"),
        Answer(body=gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"}),
        Answer(body=GOOD, headers={"Content-Encoding": "gzip"}),
    ],
    ids=["truncated", "empty", "half JSON", "no text", "HTML", "truncated gzip", "no gzip"],
)
def test_a_broken_answer_is_asked_for_again(client, sleeps, bad):
    with serve(in_turn(bad, bad, Answer(body=GOOD))) as server:
        assert client.get_json(server.url) == {"a": 1}
    assert (len(server.requests), len(sleeps)) == (3, 2)


def test_an_answer_that_does_not_come_is_asked_for_again(sleeps):
    settings = HttpSettings(timeout=timedelta(milliseconds=500), retries=20, requests_per_second=1e6)
    late = Answer(body=GOOD, delay_s=NEVER_S)
    with serve(in_turn(late, late, Answer(body=GOOD))) as server, Client(settings, {}, sleeps) as client:
        assert client.get_json(server.url) == {"a": 1}
    assert len(server.requests) >= 3
    assert len(sleeps) >= 2


def test_a_server_that_is_gone_is_tried_as_often_as_configured_then_named(client, sleeps):
    with serve(in_turn(Answer())) as server:
        pass
    message = refusal(lambda: client.get_json(f"{server.url}/v1?secret=1"))
    assert message.startswith(f"{server.url}/v1?… failed: ")
    assert message.endswith("(tried 4 times)")
    assert len(sleeps) == 3


def test_an_error_may_pass_unless_every_further_attempt_meets_it(client):
    for status, may_pass in ((503, True), (404, False), (401, False)):
        with serve(in_turn(Answer(status))) as server, pytest.raises(SourceError) as caught:
            client.get_json(server.url)
        assert caught.value.may_pass == may_pass


def test_the_error_about_a_page_for_people_shows_how_it_begins(client):
    page = Answer(body=b"<html>\n <body>Maintenance</body>", content_type="text/html")
    with serve(in_turn(page)) as server:
        message = refusal(lambda: client.get_json(server.url))
    assert "answers with invalid JSON (text/html), which begins with '<html> <body>Maintenance</body>'" in message
    assert len(server.requests) == 4


@pytest.fixture
def brief(monkeypatch):
    """A time-out is a minute, and a whole request may take a second."""
    monkeypatch.setattr("daycast.sources.http.transport._TIMEOUTS_PER_REQUEST", 1 / 60)
    return QUICK


@pytest.mark.parametrize("head", [True, False], ids=["head", "body"])
def test_a_server_that_drips_cannot_hold_us(sleeps, brief, head):
    """For half an hour, or it would: this test ends because the client does."""
    dripping = Answer(drip_head_s=0.02) if head else Answer(body=b" " * 100_000, drip_s=0.02)
    with serve(in_turn(dripping)) as server, Client(HttpSettings(**brief, retries=1), {}, sleeps) as client:
        message = refusal(lambda: client.get_json(server.url))
    assert "was not finished after 1 s" in message
    assert len(sleeps) == 1
    assert len(server.requests) == 2 or head


def test_a_body_without_announced_length_that_drips_is_no_complete_body(sleeps, brief):
    dripping = Answer(body=b"1" * 100_000, drip_s=0.02, announced=False)
    with serve(in_turn(dripping)) as server, Client(HttpSettings(**brief, retries=0), {}, sleeps) as client:
        assert "was not finished after 1 s" in refusal(lambda: client.get_bytes(server.url))


def test_the_client_goes_on_after_a_connection_was_cut(sleeps, brief):
    good, dripping = Answer(body=GOOD), Answer(body=b" " * 100_000, drip_s=0.02)
    with (
        serve(in_turn(good, dripping, good)) as server,
        Client(HttpSettings(**brief, retries=20), {}, sleeps) as client,
    ):
        assert client.get_json(server.url) == {"a": 1}
        assert client.get_json(server.url) == {"a": 1}
    assert len(server.requests) >= 3
    assert len(sleeps) >= 1


def test_retry_after_in_seconds_is_granted(client, sleeps):
    with serve(in_turn(Answer(status=429, headers={"Retry-After": "7"}), Answer(body=GOOD))) as server:
        assert client.get_json(server.url) == {"a": 1}
    assert sleeps == [7.0]


@pytest.mark.parametrize(
    ("headers", "shortest", "longest"),
    [
        ({"Date": "Fri, 31 Dec 1999 23:59:50 GMT", "Retry-After": "Sat, 01 Jan 2000 00:01:05 GMT"}, 75, 75),
        (
            {"Date": "Sat, 01 Jan 2000 00:00:00 GMT", "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"},
            0.5,
            1,
        ),  # it is past
        ({"Retry-After": "soon"}, 0.5, 1),
        ({"Retry-After": "0"}, 0.5, 1),
    ],
)
def test_retry_after_as_a_date_counts_from_the_date_of_the_answer(client, sleeps, headers, shortest, longest):
    with serve(in_turn(Answer(status=503, headers=headers), Answer(body=GOOD))) as server:
        assert client.get_json(server.url) == {"a": 1}
    [pause] = sleeps
    assert shortest <= pause <= longest


def test_a_server_that_asks_for_a_longer_wait_than_we_grant_is_left(client, sleeps):
    busy = Answer(status=429, headers={"Retry-After": "301"}, body=b'{"error":true,"reason":"Daily limit exceeded"}')
    with serve(in_turn(busy)) as server:
        message = refusal(lambda: client.get_json(server.url))
    assert message == (
        f"{server.url} answers 429 Too Many Requests: Daily limit exceeded, and asks us to wait 301 s: try again after that"
    )
    assert (len(server.requests), sleeps) == (1, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(400, b'{"error":true,"reason":"Latitude must be in range"}'),
            "400 Bad Request: Latitude must be in range",
        ),
        (Answer(401, b'{"error":{"message":"no such\\nkey"}}'), "401 Unauthorized: no such key"),
        (Answer(403, b"go away", "text/plain"), "403 Forbidden: go away"),
        (Answer(404, b"<html>long page", "text/html"), "404 Not Found"),
        (Answer(299), "299"),
        (Answer(204), "204 No Content"),
    ],
)
def test_a_refusal_is_final_and_quotes_the_reason_of_the_server(client, sleeps, answer, words):
    with serve(in_turn(answer)) as server:
        assert refusal(lambda: client.get_json(server.url)) == f"{server.url} answers {words}"
    assert (len(server.requests), sleeps) == (1, [])


def test_bytes_come_with_what_they_can_be_asked_for_by_next_time(client):
    tagged = Answer(body=b"abc", headers={"ETag": '"v1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    dated = Answer(body=b"abc", headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    with serve(in_turn(tagged, dated, Answer(body=b"abc"))) as server:
        bodies = [client.get_bytes(server.url) for _ in range(3)]
    assert [body.content for body in bodies] == [b"abc"] * 3
    assert [body.validator for body in bodies] == ['"v1"', "Mon, 01 Jan 2024 00:00:00 GMT", None]


@pytest.mark.parametrize(
    ("validator", "header"),
    [('"v1"', "If-None-Match"), ('W/"v1"', "If-None-Match"), ("Mon, 01 Jan 2024 00:00:00 GMT", "If-Modified-Since")],
)
def test_what_has_not_changed_is_not_sent_again(client, validator, header):
    with serve(in_turn(Answer(status=304))) as server:
        assert client.get_bytes(server.url, validator) is None
    assert server.requests[0].headers[header] == validator


def test_an_unasked_not_modified_is_an_error(client):
    with serve(in_turn(Answer(status=304))) as server:
        assert "answers 304 Not Modified" in refusal(lambda: client.get_bytes(server.url))


def test_what_is_missing_is_none_only_where_that_is_allowed(client):
    with serve(in_turn(Answer(status=404))) as server:
        assert client.get_bytes(server.url, missing_ok=True) is None
        assert "404" in refusal(lambda: client.get_bytes(server.url))


def test_truncated_bytes_are_asked_for_again(client):
    with serve(in_turn(Answer(body=b"abcdef", truncate_to=5), Answer(body=b"abcdef"))) as server:
        assert client.get_bytes(server.url).content == b"abcdef"


def test_compressed_json_of_several_members_is_read(client):
    body = gzip.compress(b'{"a":') + gzip.compress(b" 1}")
    with serve(in_turn(Answer(body=body, headers={"Content-Encoding": "gzip"}))) as server:
        assert client.get_json(server.url) == {"a": 1}


def test_a_body_beyond_the_bound_is_refused_as_it_comes_and_as_it_unpacks(client, monkeypatch):
    monkeypatch.setattr(http_response, "MAX_BYTES", 1000)
    packed = gzip.compress(b" " * 100_000)
    assert len(packed) < 1000
    with serve(in_turn(Answer(body=b" " * 1001), Answer(body=packed, headers={"Content-Encoding": "gzip"}))) as server:
        for _ in range(2):
            assert "more than 1,000 bytes" in refusal(lambda: client.get_bytes(server.url))
    assert len(server.requests) == 2


def test_a_body_that_unpacks_to_far_more_than_is_read_takes_no_more_memory_than_that(monkeypatch):
    monkeypatch.setattr(http_response, "MAX_BYTES", 2**20)
    packed = gzip.compress(b" " * 100 * 2**20)
    tracemalloc.start()
    with pytest.raises(PermanentError):
        http_response.decode(packed, "gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_json_may_come_compressed_but_bytes_as_they_are_so_that_their_tag_holds(client):
    with serve(in_turn(Answer(body=GOOD))) as server:
        client.get_json(server.url)
        client.get_bytes(server.url)
    assert [request.headers["Accept-Encoding"] for request in server.requests] == ["gzip", "identity"]


def test_an_encoding_that_was_not_asked_for_is_refused(client):
    with serve(in_turn(Answer(body=b"x", headers={"Content-Encoding": "br"}))) as server:
        assert "'br'" in refusal(lambda: client.get_json(server.url))


def test_requests_keep_the_pace(sleeps):
    settings = HttpSettings(requests_per_second=2)
    with serve(in_turn(Answer(body=GOOD))) as server, Client(settings, {}, sleeps) as client:
        client.get_json(server.url)
        assert sleeps == []
        client.get_json(server.url)
    assert len(sleeps) == 1
    assert 0.2 < sleeps[0] <= 0.5


# redirects


def to(url: str) -> Answer:
    return Answer(status=302, headers={"Location": url})


def test_a_redirect_is_followed(client):
    with serve(lambda request: to("/there?x=1") if request.path == "/here" else Answer(body=GOOD)) as server:
        assert client.get_json(f"{server.url}/here") == {"a": 1}
    assert [request.path for request in server.requests] == ["/here", "/there"]


@pytest.mark.parametrize("given", [{"header": "X-Key", "prefix": ""}, {}, {"parameter": "apikey"}])
def test_a_redirect_keeps_the_secret_on_its_host_and_from_any_other(given):
    settings = HttpSettings(**QUICK, credential=Credential(env="KEY", **given))
    with serve(in_turn(Answer(body=GOOD))) as stranger:

        def answer(request: Request) -> Answer:
            query = "&".join(f"{name}={value.replace('&', '%26')}" for name, value in request.query.items())
            return to("/next") if request.path == "/" else to(f"{stranger.url}/strange?{query}")

        with serve(answer) as server, Client(settings, {"KEY": SECRET}) as client:
            assert client.get_json(f"{server.url}/", {"q": "1"}) == {"a": 1}
    for request in server.requests:
        assert SECRET in str([*request.headers.values(), *request.query.values()])
    [asked] = stranger.requests
    assert "w0rd" not in str([*asked.headers.values(), *asked.query.values()])


def test_a_redirect_back_from_another_host_does_not_bring_the_secret_along():
    settings = HttpSettings(**QUICK, credential=Credential(env="KEY"))
    with serve(lambda _: to(f"{server.url}/back")) as stranger:
        answers = {"/": to(stranger.url), "/back": Answer(body=GOOD)}
        with serve(lambda request: answers[request.path]) as server, Client(settings, {"KEY": SECRET}) as client:
            assert client.get_json(f"{server.url}/") == {"a": 1}
    assert ["Authorization" in request.headers for request in server.requests] == [True, False]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:text/plain,x"])
def test_a_redirect_to_what_is_no_web_address_is_refused(client, target):
    with serve(in_turn(to(target))) as server:
        assert refusal(lambda: client.get_bytes(server.url)).startswith(f"{server.url} ")
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(client):
    with serve(lambda request: to(f"/{request.number}")) as server:
        assert "redirects more than 5 times" in refusal(lambda: client.get_json(server.url))
    assert len(server.requests) == 6


# secrets


def test_a_secret_goes_into_the_header_or_the_parameter_that_is_configured():
    for given, expected in [
        ({}, ("Authorization", f"Bearer {SECRET}")),
        ({"header": "X-Key", "prefix": ""}, ("X-Key", SECRET)),
    ]:
        settings = HttpSettings(**QUICK, credential=Credential(env="KEY", **given))
        with serve(in_turn(Answer(body=GOOD))) as server, Client(settings, {"KEY": f"{SECRET}\n"}) as client:
            client.get_json(server.url)
        assert server.requests[0].headers[expected[0]] == expected[1]
    settings = HttpSettings(**QUICK, credential=Credential(env="KEY", parameter="apikey"))
    with serve(in_turn(Answer(body=GOOD))) as server, Client(settings, {"KEY": SECRET}) as client:
        client.get_json(server.url, {"q": "1"})
        client.get_bytes(f"{server.url}?apikey=old")
    assert [request.query for request in server.requests] == [{"q": "1", "apikey": SECRET}, {"apikey": SECRET}]


@pytest.mark.parametrize(
    ("environment", "words"), [({}, "is not set"), ({"KEY": " "}, "is not set"), ({"KEY": "sü\nß"}, "printable ASCII")]
)
def test_a_secret_that_is_missing_or_cannot_be_sent_is_named_by_its_variable(environment, words):
    with pytest.raises(ConfigError, match=f"environment variable KEY .*{words}") as caught:
        Client(HttpSettings(credential=Credential(env="KEY")), environment)
    assert "sü" not in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"parameter": "apikey"}])
def test_a_secret_is_in_no_error_and_no_log(given, caplog, sleeps):
    caplog.set_level(logging.DEBUG)
    settings = HttpSettings(**QUICK, retries=1, credential=Credential(env="KEY", **given))

    def echo(request: Request) -> Answer:
        said = request.query.get("apikey") or request.headers["Authorization"]
        if request.path == "/moved":
            return to(f"/error?{request.query.get('apikey', '').replace('&', '%26').replace(' ', '+')}")
        return Answer(status=400, body=f'{{"reason": "bad key {said}"}}'.encode())

    with serve(echo) as server, Client(settings, {"KEY": SECRET}, sleeps) as client:
        messages = [refusal(lambda path=path: client.get_json(server.url + path)) for path in ("/error", "/moved")]
    messages.append(refusal(lambda: asked_of_nobody(settings, server.url, sleeps)))
    assert "bad key" in messages[0]
    assert "…" in messages[0]
    assert "/error" in caplog.text  # so there is a log in which it could stand
    for text in (*messages, caplog.text):
        assert "w0rd" not in text


def asked_of_nobody(settings: HttpSettings, url: str, sleeps: Sleeps) -> None:
    with Client(settings, {"KEY": SECRET}, sleeps) as client:
        client.get_json(url)


def test_logs_are_left_alone_once_the_client_is_closed():
    logger = logging.getLogger("httpx")
    before = list(logger.filters)
    with Client(HttpSettings(credential=Credential(env="KEY")), {"KEY": SECRET}):
        assert len(logger.filters) == len(before) + 1
    assert logger.filters == before


@pytest.mark.parametrize("url", ["ftp://x/y", "nonsense", "http://", "http://user:pa55@127.0.0.1:1/", "http://[::1/x"])
def test_an_address_that_cannot_be_asked_is_refused_at_once(client, sleeps, url):
    message = refusal(lambda: client.get_json(url))
    assert "pa55" not in message
    assert sleeps == []


# settings


def test_settings_are_read_as_they_are_written():
    settings = HttpSettings.model_validate(
        {"timeout": "10s", "retries": 0, "requests_per_second": 0.1, "credential": {"env": "KEY", "header": "X-Key"}}
    )
    assert settings.timeout == timedelta(seconds=10)
    assert settings.credential == Credential(env="KEY", header="X-Key", prefix="Bearer ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": "0s"},
        {"timeout": "soon"},
        {"retries": -1},
        {"requests_per_second": 0},
        {"token": "x"},
        {"credential": {"env": ""}},
        {"credential": {"env": "KEY", "header": "a b"}},
        {"credential": {"env": "KEY", "header": "X-Key", "parameter": "key"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        HttpSettings.model_validate(wrong)


@pytest.mark.parametrize(
    "answer",
    [Answer(delay_s=3600), Answer(drip_head_s=0.05), Answer(body=b"x" * 10**6, drip_s=0.05), Answer(status=503)],
    ids=["silent", "drips its head", "drips its body", "asks for later"],
)
def test_whoever_is_told_to_stop_does_at_once_whatever_the_server_does(answer):
    stop, ended = Stop(), []

    def read(url: str) -> None:
        current_stop.set(stop)
        with Client(HttpSettings(timeout="1h", retries=20), {}) as client:
            try:
                client.get_bytes(url)
            except StoppedError as error:
                ended.append(error)

    with serve(lambda _: answer) as server:
        thread = Thread(target=copy_context().run, args=[read, server.url])
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        stop.ask()
        thread.join(60.0)
    assert len(ended) == 1
