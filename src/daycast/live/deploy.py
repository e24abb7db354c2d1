"""Bring a Prefect server of somebody's own up to date with what daycast runs on it."""

import os
import subprocess
import sys
from pathlib import Path

from daycast.errors import ConfigError
from daycast.live.create import create_what_deployments_need


def deploy(url: str, root: Path, alert_url: str | None = None) -> None:
    """Create pools, the writer's slot and automations on the server at `url`, and deploy every flow; again and again as well.

    `root` is the folder with flows/ and infra/; workers find the flows under the same path. Failures are told to
    `alert_url`. Raises ConfigError.
    """
    if not (root / "infra" / "prefect.yaml").is_file():
        raise ConfigError(f"{root} has no infra/prefect.yaml: `daycast deploy` needs the clone it was installed from")
    create_what_deployments_need(url, root, alert_url)
    command = ["--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml"]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "prefect", *command], env={**os.environ, "PREFECT_API_URL": url}, cwd=root, check=False
    )
    if done.returncode:
        raise ConfigError(f"the flows could not be deployed at {url}: see above")
