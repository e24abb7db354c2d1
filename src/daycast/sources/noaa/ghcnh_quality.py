"""Which values of GHCNh were found wrong by NOAA or by the source it had them from.

Codes: NOAA, GHCNh documentation 1.1.0, section VI and table 3,
https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly/doc/ghcnh_DOCUMENTATION.pdf
What a code means depends on the source of the value.
"""

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, StringConstraints

from daycast.sources.tables.short_forms import list_if_bare

ANY_SOURCE = "any"
_SUSPECT_OR_ERRONEOUS = "2367"
_FAILED_A_CHECK = ascii_lowercase  # a letter for each of the checks that are made of all sources alike
_FAILED_A_CHECK_BEFORE = (
    "DEFHKLNSTVW"  # as format 1.0 called them; its C and U mean good values in older codes, and are none here
)
_OLD_NETWORKS = ("220", "221", "222", "223", "347", "348")
_REMOVED = "5"  # there; elsewhere it says that every check was passed
_HOURLY_PRECIPITATION = "382"
_NOT_OF_ONE_HOUR = "XNYKOZMDQRA"  # there: beyond extremes, or a total of several hours

Codes = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]$")], ...], BeforeValidator(list_if_bare)
]
QualityCodes = dict[Annotated[str, StringConstraints(pattern=rf"^(\d+|{ANY_SOURCE})$")], Codes]

BAD_QUALITY_CODES: Mapping[str, tuple[str, ...]] = {
    ANY_SOURCE: tuple(_SUSPECT_OR_ERRONEOUS + _FAILED_A_CHECK + _FAILED_A_CHECK_BEFORE),
    **dict.fromkeys(_OLD_NETWORKS, (_REMOVED,)),
    _HOURLY_PRECIPITATION: tuple(_NOT_OF_ONE_HOUR),
}


def is_bad(quality: pl.Expr, source: pl.Expr, codes: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    """Whether any of the codes in `quality` is among those of ANY_SOURCE or of the value's `source`; False without one.

    A code may have words behind it, as in "7-Erroneous".
    """
    code = without_words(quality).fill_null("")
    bad = [
        (pl.lit(value=True) if of == ANY_SOURCE else source == of) & code.str.contains(f"[{''.join(letters)}]")
        for of, letters in codes.items()
        if letters
    ]
    return pl.any_horizontal(pl.lit(value=False), *bad).fill_null(value=False)


def without_words(code: pl.Expr) -> pl.Expr:
    """The code alone, where words follow it after a hyphen; null where there is none."""
    return code.str.extract(r"^\s*([^-\s]+)")
