"""Which hosts are asked without a proxy."""

import pytest

from daycast.loopback import exempt_loopback, is_loopback

LOOPBACK = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),  # macOS would no longer look for the proxies of its own settings
        ({"NO_PROXY": "a.example"}, {"NO_PROXY": "a.example"}),
        ({"HTTP_PROXY": ""}, {"HTTP_PROXY": ""}),
        ({"HTTP_PROXY": "p"}, {"NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}),
        ({"all_proxy": "p", "NO_PROXY": ""}, {"NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}),
        ({"http_proxy": "p", "NO_PROXY": "a"}, {"NO_PROXY": f"a,{LOOPBACK}", "no_proxy": f"a,{LOOPBACK}"}),
        (
            {"http_proxy": "p", "NO_PROXY": "a, localhost", "no_proxy": "b"},
            {"NO_PROXY": "a,localhost,127.0.0.1,::1", "no_proxy": f"b,{LOOPBACK}"},
        ),
        ({"http_proxy": "p", "NO_PROXY": "*"}, {"NO_PROXY": "*"}),
    ],
)
def test_loopback_is_added_to_the_hosts_without_a_proxy_where_there_is_one(given, expected):
    environment = dict(given)
    exempt_loopback(environment)
    assert environment == given | expected
    exempt_loopback(environment)
    assert environment == given | expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:4200/api", True),
        ("http://127.8.8.8", True),
        ("http://localhost:4200", True),
        ("http://[::1]:4200/api", True),
        ("http://0.0.0.0:4200/api", True),
        ("http://10.0.0.5:4200/api", False),
        ("https://localhost.example/api", False),
        ("https://127.0.0.1.example/api", False),
        ("http:///api", False),
    ],
)
def test_loopback_is_known_by_its_address(url, expected):
    assert is_loopback(url) is expected
