"""A Prefect server that fails for a while is asked again, if that cannot do anything twice; and slots that it lost are freed."""

import json
from pathlib import Path

import pytest

from daycast.service import server
from daycast.service.server import LostSlots, RefusedError, Server
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


class Limits:
    """A server that knows which slots are taken."""

    def __init__(self, **taken: int) -> None:
        self.taken, self.answers = taken, True

    def is_up(self) -> bool:
        return self.answers

    def call(self, path: str, body: dict, method: str | None = None) -> object:
        if method == "PATCH":
            self.taken[path.rpartition("/")[2]] = body["active_slots"]
            return None
        assert path == "/v2/concurrency_limits/filter"
        return [{"id": name, "name": name, "active_slots": taken} for name, taken in self.taken.items()]


def lease(folder: Path, name: str, slots: int) -> Path:
    file = folder / f"{name}-{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps({"resource_ids": [name], "metadata": {"slots": slots}}))
    return file


def checks(limits: Limits, folder: Path, minutes: list[float]) -> list[dict[str, int]]:
    """Which slots are taken after the checks at these minutes."""
    lost, taken = LostSlots(limits, folder), []
    for minute in minutes:
        lost.update(60 * minute)
        taken.append(dict(limits.taken))
    return taken


def test_a_slot_without_a_lease_is_free_again_after_two_checks(tmp_path):
    (tmp_path / "expirations.json").write_text("{}")
    lease(tmp_path, "ingest", 2)
    limits = Limits(warehouse=1, ingest=3, forecast=0)
    before, after = {"warehouse": 1, "ingest": 3, "forecast": 0}, {"warehouse": 0, "ingest": 2, "forecast": 0}
    assert checks(limits, tmp_path, [0, 0.5, 1, 2]) == [before, before, after, after]


def test_a_slot_that_is_leased_by_the_second_check_or_is_another_one_stays(tmp_path):
    limits = Limits(warehouse=1)
    lost = LostSlots(limits, tmp_path)
    lost.update(0)
    held = lease(tmp_path, "warehouse", 1)  # it was only just granted
    lost.update(60 * 1)
    held.unlink()
    lost.update(60 * 2)
    assert limits.taken == {"warehouse": 1}
    lost.update(60 * 3)
    assert limits.taken == {"warehouse": 0}


@pytest.mark.parametrize("broken", ["half a lea", "[]", "{}"])
def test_a_server_that_does_not_answer_or_a_lease_that_cannot_be_read_frees_nothing(tmp_path, broken):
    limits = Limits(warehouse=1)
    limits.answers = False
    assert checks(limits, tmp_path, [0, 1, 2])[-1] == {"warehouse": 1}
    limits.answers = True
    (tmp_path / "a-b.json").write_text(broken)
    assert checks(limits, tmp_path, [0, 1, 2])[-1] == {"warehouse": 1}
