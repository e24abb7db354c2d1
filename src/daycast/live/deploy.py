"""Bring a Prefect server of somebody's own up to date with what daycast runs on it."""

import os
import subprocess
import sys
from pathlib import Path

from daycast.errors import ConfigError
from daycast.live.up import _create


def deploy(url: str, root: Path) -> None:
    """Create pools, the writer's slot and automations on the server at `url`, and deploy every flow; again and again as well.

    `root` is the folder with flows/ and infra/; workers find the flows under the same path. Raises ConfigError.
    """
    if not (root / "infra" / "prefect.yaml").is_file():
        raise ConfigError(f"{root} has no infra/prefect.yaml: `daycast deploy` needs the clone it was installed from")
    _create(url, root)
    command = ["--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "prefect", *command], env={**os.environ, "PREFECT_API_URL": url}, cwd=root, check=False
    )
    if done.returncode:
        raise ConfigError(f"the flows could not be deployed at {url}: see above")
