"""Who gets into a Prefect server that daycast starts: whoever knows its password, which nobody but the user can read."""

import base64
import secrets
from pathlib import Path

from daycast.files import atomic_write

_USER = "daycast"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def new_auth() -> str:
    """A password that nobody can guess, as `user:password`."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def keep_auth(home: Path) -> str:
    """The password of the server whose state lies in `home`, made on the first call; only the user can read it."""
    make_private(home)
    path = _auth_file(home)
    if not path.exists():
        with atomic_write(path, exclusive=True) as draft:
            draft.touch(_PRIVATE_FILE)
            draft.write_text(new_auth())
    path.chmod(_PRIVATE_FILE)
    return path.read_text()


def read_auth(home: Path) -> str | None:
    """The password that `keep_auth` made there, if it did."""
    try:
        return _auth_file(home).read_text()
    except FileNotFoundError:
        return None


def make_private(folder: Path) -> None:
    """Create a folder that only the user can enter, or close one that is there to all others."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_PRIVATE_FOLDER)


def access_settings(auth: str) -> dict[str, str]:
    """The environment of a server that asks for this password, and of those who know it."""
    return {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}


def entry_address(url: str, auth: str) -> str:
    """What to open in a browser, which is then known to the server at `url` (…/api). What follows the # is not sent to it."""
    return f"{url.removesuffix('/api')}/enter#{base64.b64encode(auth.encode()).decode()}"


def _auth_file(home: Path) -> Path:
    return home / "auth"
