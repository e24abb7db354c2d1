"""Where a GeoJSON point is (RFC 7946, https://www.rfc-editor.org/rfc/rfc7946)."""

from math import isfinite
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A place on Earth, as far as it is known."""

    longitude: float | None = None  # degrees east
    latitude: float | None = None  # degrees north
    elevation_m: float | None = None  # metres


_LIMITS = (180.0, 90.0, 9000.0)  # in the order of Point


def read_point(location: Any) -> Point | None:
    """The point that GeoJSON gives, bare or in a feature; None for anything else and for a place that is not on Earth."""
    if isinstance(location, dict) and location.get("type") == "Feature":
        location = location.get("geometry")
    if not isinstance(location, dict) or location.get("type") != "Point":
        return None
    given = location.get("coordinates")
    if not isinstance(given, list):
        return None
    point = Point(*(_within(value, limit) for value, limit in zip(given, _LIMITS, strict=False)))
    return None if point.longitude is None or point.latitude is None else point


def _within(value: Any, limit: float) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) and abs(value) <= limit else None
