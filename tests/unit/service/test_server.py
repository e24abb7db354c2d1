"""A Prefect server that fails for a while is asked again, if that cannot do anything twice."""

import pytest

from daycast.service import server
from daycast.service.server import RefusedError, Server
from unit.sources.http_server import Answer, Request, serve

READS = [("GET", "/v2/concurrency_limits/warehouse", None), ("POST", "/flow_runs/filter", {})]
CHANGES = [("POST", "/work_pools/", {}), ("POST", "/flow_runs/1/set_state", {}), ("PATCH", "/work_pools/cpu", {})]
CHANGES += [("DELETE", "/automations/1", None)]


@pytest.fixture(autouse=True)
def without_backoff(monkeypatch):
    monkeypatch.setattr(server, "_BACKOFF_S", 0)


def failing(times: int, status: int):
    """Answers with `status` so many times, then well."""

    def answer(request: Request) -> Answer:
        return Answer(status, b"locked") if request.number < times else Answer(body=b'{"name": "it"}')

    return answer


def ask(url: str, method: str, path: str, body: object):
    return Server(url).call(path, body, None if method == ("GET" if body is None else "POST") else method)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_what_only_reads_is_asked_again(method, path, body, status):
    with serve(failing(3, status)) as served:
        assert ask(served.url, method, path, body) == {"name": "it"}
    assert [(request.method, request.path) for request in served.requests] == 4 * [(method, path)]


@pytest.mark.parametrize("status", [500, 502])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_changes_something_is_not_done_twice(method, path, body, status):
    with serve(failing(1, status)) as served, pytest.raises(RefusedError, match=f"{status}: locked"):
        ask(served.url, method, path, body)
    assert [request.method for request in served.requests] == [method]


@pytest.mark.parametrize(("method", "path", "body"), READS + CHANGES)
def test_a_busy_server_did_nothing_and_is_asked_again_whatever_it_was(method, path, body):
    with serve(failing(3, 503)) as served:
        assert ask(served.url, method, path, body) == {"name": "it"}
    assert len(served.requests) == 4


@pytest.mark.parametrize("status", [500, 503])
def test_there_is_a_limit(status):
    with serve(lambda _: Answer(status, b"locked")) as served, pytest.raises(RefusedError, match=f"{status}: locked"):
        Server(served.url).call("/health")
    assert len(served.requests) == server._TRIES


def test_what_is_refused_is_not_asked_again():
    with serve(lambda _: Answer(404, b"nothing")) as served, pytest.raises(RefusedError, match="404: nothing"):
        Server(served.url).call("/deployments/name/a/a")
    assert len(served.requests) == 1
