"""The password of a Prefect server that daycast starts, in a file that only the user can read.

`keep_auth` makes and reads it for a server that stays, `new_auth` for one that serves a single command.
"""

import base64
import secrets
from pathlib import Path

from daycast.files import atomic_write

_USER = "daycast"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def new_auth() -> str:
    """A random password, as `user:password`."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def keep_auth(home: Path) -> str:
    """The password of the server with its state in `home`; the first call makes it."""
    make_private(home)
    path = _auth_file(home)
    if not path.exists():
        with atomic_write(path, exclusive=True) as draft:
            draft.touch(_PRIVATE_FILE)
            draft.write_text(new_auth())
    path.chmod(_PRIVATE_FILE)
    return path.read_text()


def read_auth(home: Path) -> str | None:
    """The password that `keep_auth` made in `home`; None if it made none."""
    try:
        return _auth_file(home).read_text()
    except FileNotFoundError:
        return None


def make_private(folder: Path) -> None:
    """Create a folder that only the user can enter, or close an existing one to all others."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_PRIVATE_FOLDER)


def access_settings(auth: str) -> dict[str, str]:
    """The environment variables of a server that asks for this password, and of its clients."""
    return {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}


def entry_address(url: str, auth: str) -> str:
    """The address that signs a browser in to the server at `url` (…/api). Browsers do not send the part after the #."""
    return f"{url.removesuffix('/api')}/enter#{base64.b64encode(auth.encode()).decode()}"


def _auth_file(home: Path) -> Path:
    return home / "auth"
