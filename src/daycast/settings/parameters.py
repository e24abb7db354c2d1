"""Types of the parameters of flows: Prefect's form shows them, and refuses anything else before a run exists."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

_ISO_8601 = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": _ISO_8601})]
Epochs = Annotated[int, Field(ge=1)]
Minutes = Annotated[float, Field(gt=0)]
