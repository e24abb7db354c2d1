"""Mask secrets in everything daycast says: errors, log lines, `runs.message`, reasons and artifacts all go through `redact`.

Messages quote their input, and people put secrets in unexpected places: a DSN where the name of a variable is wanted, a key
inside an address. Nobody can list these places, so `redact` recognises a secret by its shape. It must leave alone: station ids,
paths, times, ids and hashes of models and batches, names of variables and settings.

`redact` and `one_line` are for texts, `Redacting` is the filter for logs.
"""

import logging
import re
import traceback
from itertools import pairwise

MASK = "…"
_MIN_LENGTH = 20  # a random word of so many characters is a secret; ids of models, batches and stations are shorter
_MIN_HEX_LENGTH = 32  # station ids of openSenseMap are 24 hexadecimal digits

# Every repetition is bounded, so that the time grows linearly with the length of the text.
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL)
_USERINFO = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{1,20}:/{1,2})"  # a path made from an address has a single slash
    r"(?:[^\s<>:]{0,100}:[^\s<>]{0,300}@"
    r"|[^\s/:@]{0,100}:(?!\d{1,5}(?:[/\s?#'\",;)\]]|$)|\s)[^\n@]{0,200}@)",  # a password with a space; not a port
    re.IGNORECASE,
)
_WEB_USERINFO = re.compile(
    r"(?P<before>\b(?:https?|wss?):/{1,2})[^\s<>]{0,300}@", re.IGNORECASE
)  # a token may stand as the user
_BARE_USERINFO = re.compile(r"(?<![\w/.:-])[A-Za-z][\w.+-]{0,60}:[^\s:@/'\"]{1,100}@(?=\w)")
_ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s'\"<>]{1,2000}", re.IGNORECASE)
_VALUE = r"(?:'[^'\n]{0,500}'?|\"[^\"\n]{0,500}\"?|[^\s,;&)'\"\]}{(\[][^\s,;&)'\"\]}]{0,500})"
_SENSITIVE = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key"
    r"|credential|authorization|auth[_-]?string|signature|cookie|app_?id)"
)
_NAMED = re.compile(
    rf"(?P<before>\b[\w.-]{{0,40}}{_SENSITIVE}\w{{0,20}}['\"]?\s{{0,3}}=[=>]?\s{{0,3}}"
    rf"|['\"][\w.-]{{0,40}}{_SENSITIVE}\w{{0,20}}['\"]\s{{0,3}}:\s{{0,3}}"
    rf"|\b(?:password|secret)\s(?=')"
    rf"|(?<=[?&])(?:key|sig|auth|pass|code)="
    rf"|\b(?:key|sig|auth|pass)\s?=\s?(?=['\"]?\w{{0,100}}\d)(?=['\"]?[^\s,;&)'\"\]}}]{{6}}))"
    rf"(?![=>]?\s{{0,3}}{MASK}){_VALUE}",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<before>\b(?:(?:proxy-)?authorization|(?:set-)?cookie|api-?key|x-[\w-]{0,30}(?:key|token|auth|secret))"
    r"['\"]?\s{0,3}[:=]\s{0,3}['\"]?|\b(?=bearer\s+\S{0,200}\d))"
    rf"(?!{MASK})(?:(?:bearer|basic|digest|token|apikey)\s+)?[^\s'\",]{{1,2000}}",
    re.IGNORECASE,
)
_PAGES = {"flow-run", "task-run", "artifact"}  # of Prefect: what follows in an address is an id
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[^\s'\"`,;()<>\[\]{}|=:?&#@…]{20,}")
_CHUNK = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}|[0-9]+|[A-Za-z]")  # what a reader perceives as one unit


def redact(text: str) -> str:
    """The text with an ellipsis in place of everything that looks like a secret. Redacting twice changes nothing more."""
    text = _PRIVATE_KEY.sub(MASK, text)
    text = _USERINFO.sub(rf"\g<before>{MASK}@", text)
    text = _WEB_USERINFO.sub(rf"\g<before>{MASK}@", text)
    text = _BARE_USERINFO.sub(f"{MASK}@", text)
    text = _ADDRESS.sub(_redact_address, text)
    text = _HEADER.sub(rf"\g<before>{MASK}", text)
    text = _NAMED.sub(rf"\g<before>{MASK}", text)
    return _WORD.sub(_redact_word, text)


def one_line(text: str) -> str:
    """The redacted text on one line, with control characters written as escapes."""
    line = " ".join(part for part in map(str.strip, redact(text).splitlines()) if part)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)


class Redacting(logging.Filter):
    """A log filter that redacts records and their tracebacks before any handler sees them, each message on one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, without secrets and without control characters, which names of stations may contain."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the arguments do not fit the format; that must not end the run
            message = f"{record.msg} {record.args}"
        record.msg, record.args = one_line(message), ()
        if record.exc_info and record.exc_info[0]:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return True


def _redact_address(match: re.Match[str]) -> str:
    """A web address without its query and without the random parts of its path, where webhooks have their key.

    The address of a run on Prefect's pages stays whole.
    """
    address = match[0].rstrip(").,;:]}!")
    place, mark, _ = re.split(r"([?#]|\Z)", address, maxsplit=1)
    parts = [_redact_part(part, before) for before, part in pairwise(["", *place.split("/")])]
    query = mark + MASK if mark and len(place) + 1 < len(address) else mark
    return "/".join(parts) + query + match[0][len(address) :]


def _redact_part(part: str, before: str) -> str:
    if before in _PAGES and _UUID.fullmatch(part):
        return part
    return MASK if _is_random(part) or _is_random(re.sub("[_-]", "", part)) else part


def _redact_word(match: re.Match[str]) -> str:
    """Mask the random parts of a word, a relative path or base64. In an absolute path, parts of one case are file names."""
    word = match[0]
    if not word.startswith(("/", "~", ".")) and re.fullmatch(r"[A-Za-z0-9+/]{32,}", word) and _mean_chunk(word) < 2.2:
        return MASK
    absolute = word.startswith(("/", "~", "."))
    parts = [
        MASK if _is_random(part) and not (absolute and _is_of_one_case(part)) else part for part in word.split("/")
    ]
    return "/".join(parts)


def _is_random(part: str) -> bool:
    return any(_is_random_piece(piece) for piece in re.findall(rf"[A-Za-z0-9]{{{_MIN_LENGTH},}}", part))


def _is_random_piece(piece: str) -> bool:
    """Whether its chunks are as short as in random text. 95 % of words of 24 random characters pass, no name in use does."""
    if piece.isdigit():
        return False
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", piece):
        return len(piece) >= _MIN_HEX_LENGTH
    if not re.search(r"\d", piece):
        return _mean_chunk(piece) < 2.5
    return _mean_chunk(piece) <= (4.0 if _is_of_one_case(piece) else 3.2)


def _is_of_one_case(text: str) -> bool:
    return text == text.lower() or text == text.upper()


def _mean_chunk(text: str) -> float:
    """The mean number of characters of a chunk."""
    return len(text) / max(len(_CHUNK.findall(text)), 1)
