"""What runs on this machine is reached without a proxy, whatever the proxy variables say; all else goes through it."""

import os
import subprocess
import sys
from urllib.request import Request

import httpx
import pytest

from daycast.loopback import exempt_loopback, open_url
from daycast.service.server import Server
from integration.chain.test_own_csv import UNTIL, write_garden
from unit.sources.http_server import Answer, serve

VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def proxy(monkeypatch):
    """A proxy that every variable names, and that counts what it is asked for."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve(lambda _: Answer(body=b'"the proxy"')) as served:
        for name in VARIABLES:
            monkeypatch.setenv(name, served.url)
        yield served


def test_our_own_calls_on_loopback_go_past_every_proxy(proxy):
    with serve(lambda _: Answer(body=b'"the server"')) as served:
        assert Server(served.url).call("/health") == "the server"
        assert Server(served.url.replace("127.0.0.1", "localhost")).call("/health") == "the server"
    assert proxy.requests == []


def test_a_server_elsewhere_is_asked_through_the_proxy(proxy):
    assert Server("http://prefect.example:4200/api").call("/health") == "the proxy"
    assert open_url(Request("http://weather.example/a.csv"), 60).read() == b'"the proxy"'


def test_what_others_ask_on_loopback_goes_past_every_proxy_once_that_is_in_the_environment(proxy):
    exempt_loopback(os.environ)
    with serve(lambda _: Answer(body=b'"the server"')) as served:
        assert httpx.get(served.url).json() == "the server"
    assert httpx.get("http://weather.example/a.csv").json() == "the proxy"


@pytest.mark.slow
def test_a_command_brings_its_own_server_where_a_proxy_is_set_that_leads_nowhere(tmp_path):
    write_garden(tmp_path, 30)
    foreign = ("DAYCAST_", "PREFECT_", "PANDERA_", "NO_PROXY", "no_proxy")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    dead = dict.fromkeys(VARIABLES, "http://127.0.0.1:9")
    command = [sys.executable, "-m", "daycast", "ingest", "--until", UNTIL]
    done = subprocess.run(command, cwd=tmp_path, env=clean | dead, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "30 rows delivered" in done.stdout
