"""A Prefect server on loopback for the length of one command, for users who run no server.

Prefect can start one itself, but leaves it behind if the command is killed, and allows it only 20 seconds to start. This
server ends with the command, however the command ends, because it listens to a pipe that only the command holds open. Nobody
reads its history, so a large database is deleted: each hourly run adds half a megabyte.
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
from daycast.files import full_disk
from daycast.service.access import access_settings, make_private, new_auth
from daycast.service.prefect_server import bind
from daycast.service.server import Server

_START_S = 300  # enough on a busy machine; a server that ends is noticed at once
_LARGEST_DATABASE_MB = 64


class EphemeralServer:
    """A server that starts in the background: do something else, then call `wait`. Its state and its log are in `home`.

    `environment` holds the variables that its clients need: its address and its password, which is new each time.
    """

    def __init__(self, home: Path) -> None:
        home.parent.mkdir(parents=True, exist_ok=True)
        self._lock = home.with_suffix(".lock").open("w")
        with suppress(BlockingIOError):  # the server of another command uses the folder
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if sum(file.stat().st_size for file in home.glob("prefect.db*")) > _LARGEST_DATABASE_MB * 2**20:
                shutil.rmtree(home)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        make_private(home)
        self.log = home / "server.log"
        quiet = {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
        # any free port; the server inherits the bound socket, so that nobody can take the port meanwhile
        with self.log.open("wb") as log, bind("127.0.0.1", 0) as bound:
            auth = new_auth()
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [  # -P: no modules from the working directory
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
                stdin=subprocess.PIPE,  # never written to: the server ends when the pipe closes
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the command; the server ends after it
            )
        self.environment = {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": auth}

    def wait(self) -> None:
        """Return once the server answers. Raises ConfigError if it does not start."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if Server(self.url).is_up():
                return
            time.sleep(0.1)
        way_out = full_disk(self.log.parent) or f"see {self.log}, or set PREFECT_API_URL to a running one"
        raise ConfigError(f"the Prefect server of this command did not start: {way_out}")
