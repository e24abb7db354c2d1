"""Nothing on this machine is reached through a proxy, whatever the proxy variables say; all else is, as they say."""

import ipaddress
import urllib.request
from collections.abc import MutableMapping
from http.client import HTTPResponse
from typing import cast
from urllib.parse import urlsplit

_HOSTS = ("127.0.0.1", "localhost", "::1")
_NAMES = ("no_proxy", "NO_PROXY")  # some programs read one, some the other


def exempt_loopback(environment: MutableMapping[str, str]) -> None:
    """Where a proxy is set, add loopback to the hosts without one: for httpx, urllib, Prefect, and every child process."""
    proxies = [name for name, value in environment.items() if name.lower().endswith("_proxy") and value]
    if not {name.lower() for name in proxies} - {"no_proxy"}:
        return  # else macOS would no longer look for the proxies of its own settings
    given = {name: environment.get(name) for name in _NAMES}
    for name, other in (_NAMES, _NAMES[::-1]):
        hosts = [host.strip() for host in (given[name] or given[other] or "").split(",") if host.strip()]
        if "*" not in hosts:  # no proxy for anything, which urllib only believes where it stands alone
            environment[name] = ",".join(dict.fromkeys([*hosts, *_HOSTS]))


def open_url(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """As `urllib.request.urlopen`, and without a proxy where the host is this machine."""
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(request.full_url) else []
    return cast(HTTPResponse, urllib.request.build_opener(*handlers).open(request, timeout=timeout))


def is_loopback(url: str) -> bool:
    """Whether the address leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
