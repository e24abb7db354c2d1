"""A Prefect server of one's own, on loopback, for the length of a command: for those who run none.

Prefect can start one by itself, but leaves it behind when the command is killed, and gives it 20 seconds to come up.
This one ends with the command however that ends, because it listens to a pipe that only the command holds open. Nobody looks at
its past, so that is forgotten from time to time: each hourly run would leave it half a megabyte.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from daycast.errors import ConfigError
from daycast.service.access import access_settings, make_private, new_auth
from daycast.service.prefect_server import bind
from daycast.service.server import Server

_PATIENCE_S = 300  # for a server that starts on a busy machine; one that ends is noticed at once
_MOST_MB = 64


class EphemeralServer:
    """A server that is coming up: do something else, then `wait`. Its state and its log lie in `home`.

    `environment` is what whoever is to use it needs: its address and its password, which is new each time.
    """

    def __init__(self, home: Path) -> None:
        home.parent.mkdir(parents=True, exist_ok=True)
        self._in_use = home.with_suffix(".lock").open("w")
        with suppress(BlockingIOError):  # another command's server is at work there
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sum(file.stat().st_size for file in home.glob("prefect.db*")) > _MOST_MB * 2**20:
                shutil.rmtree(home)
        fcntl.flock(self._in_use, fcntl.LOCK_SH)
        make_private(home)
        self.log = home / "server.log"
        quiet = {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
        # any free port; the server inherits it bound, so that nobody can take it meanwhile
        with self.log.open("wb") as log, bind("127.0.0.1", 0) as bound:
            auth = new_auth()
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                # -P: not with modules of the working directory
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "daycast.service.prefect_server",
                    "--socket",
                    str(bound.fileno()),
                    "--end-with-stdin",
                ],
                pass_fds=[bound.fileno()],
                env={**os.environ, **quiet, **access_settings(auth)},
                stdin=subprocess.PIPE,  # never written to: its end is the signal
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt is for the command; the server ends after it
            )
        self.environment = {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": auth}

    def wait(self) -> None:
        """Return once the server answers. Raises ConfigError where it does not come up."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if Server(self.url).is_up():
                return
            time.sleep(0.1)
        raise ConfigError(
            f"Prefect's own server did not start: see {self.log}, or set PREFECT_API_URL to a running one"
        )
