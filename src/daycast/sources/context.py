"""What the settings of a source know besides themselves: where relative paths begin, and where secrets are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, PrivateAttr


class SettingsInContext(BaseModel):
    """Settings that remember `folder` and `environment` of the validation context, if it has them."""

    _folder: Path = PrivateAttr(default=Path())  # that paths are relative to
    _environment: Mapping[str, str] = PrivateAttr(default_factory=dict)  # that secrets are read from

    def model_post_init(self, context: Any, /) -> None:
        """Remember both."""
        self._folder = Path((context or {}).get("folder", "."))
        self._environment = (context or {}).get("environment", {})
