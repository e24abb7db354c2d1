"""Connections to this machine never go through a proxy; all others follow the proxy variables of the environment.

`exempt_loopback` adds this machine to `no_proxy` for a whole process, `open_url` opens one address.
"""

import ipaddress
import urllib.request
from collections.abc import MutableMapping
from http.client import HTTPResponse
from typing import cast
from urllib.parse import urlsplit

_HOSTS = ("127.0.0.1", "localhost", "::1")
_NAMES = ("no_proxy", "NO_PROXY")  # some programs read one, some the other


def exempt_loopback(environment: MutableMapping[str, str]) -> None:
    """If a proxy is set, add loopback to `no_proxy` and `NO_PROXY`: httpx, urllib, Prefect and child processes read them."""
    proxies = [name for name, value in environment.items() if name.lower().endswith("_proxy") and value]
    if not {name.lower() for name in proxies} - {"no_proxy"}:
        return  # with no_proxy set, urllib on macOS would no longer read the proxies of the system settings
    given = {name: environment.get(name) for name in _NAMES}
    for name, other in (_NAMES, _NAMES[::-1]):
        hosts = [host.strip() for host in (given[name] or given[other] or "").split(",") if host.strip()]
        if "*" not in hosts:  # * means no proxy at all, and urllib accepts it only if it stands alone
            environment[name] = ",".join(dict.fromkeys([*hosts, *_HOSTS]))


def open_url(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """Like `urllib.request.urlopen`, but without a proxy if the host is this machine. Raises OSError as urlopen does.

    timeout: seconds for each wait on the socket.
    """
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(request.full_url) else []
    return cast(HTTPResponse, urllib.request.build_opener(*handlers).open(request, timeout=timeout))


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine: localhost, a loopback address or an unspecified one (0.0.0.0)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
