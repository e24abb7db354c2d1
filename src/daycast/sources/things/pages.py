"""The collections of a SensorThings service, page by page along `@iot.nextLink`.

Requests and answers: OGC SensorThings API Part 1: Sensing, version 1.1, https://docs.ogc.org/is/18-088/18-088.html
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from daycast.errors import SourceError
from daycast.sources.http.client import Client

MOST_PAGES = 10_000  # of one collection; a server that goes on beyond has lost count

Entity = Mapping[str, Any]


def read_collection(
    client: Client, url: str, params: Mapping[str, str] | None = None, most_pages: int = MOST_PAGES
) -> Iterator[list[Entity]]:
    """Yield the entities of each page of the collection at `url`; only GETs are sent, and only to the host of `url`.

    Raises SourceError for an answer that is no page, a next link that leads to another host or to where we have been, a
    page that repeats the one before, and a collection of more than `most_pages` pages.
    """
    link: str | None = url
    been, before = {url}, None
    for _ in range(most_pages):
        page = client.get_json(link or url, params)
        entities = _entities(page, url)
        if entities and entities == before:
            raise SourceError(f"{url}: the server sends the same page over and over, so it cannot be read to its end")
        yield entities
        link, params, before = _next_link(page, link or url), None, entities
        if link is None:
            return
        if link in been:
            raise SourceError(
                f"{url}: its pages lead in a circle, back to {_shown(link)}; report it to the server's owner"
            )
        been.add(link)
    raise SourceError(f"{url}: has more than {most_pages:,} pages; ask for less with things_filter or a shorter piece")


def entity_url(root: str, collection: str, entity_id: int | str, of: str) -> str:
    """The address of collection `of` of one entity: numbers as they are, text quoted, as OData wants it."""
    key = str(entity_id) if isinstance(entity_id, int) else "'" + entity_id.replace("'", "''") + "'"
    quoted = quote(key, safe="'")
    return f"{root}/{collection}({quoted})/{of}"


def _entities(page: Any, url: str) -> list[Entity]:
    entities = page.get("value") if isinstance(page, dict) else None
    if not isinstance(entities, list) or not all(isinstance(entity, dict) for entity in entities):
        raise SourceError(
            f"{url}: answers without a list called 'value', so it is no SensorThings collection; check url"
        )
    return entities


def _next_link(page: Entity, url: str) -> str | None:
    """Where `page` says it goes on, made absolute; None on the last page."""
    given = page.get("@iot.nextLink")
    if given is None:
        return None
    try:
        link = urljoin(url, str(given))
        is_ours = _host(link) == _host(url)
    except ValueError as error:
        raise SourceError(f"{_shown(url)}: its next page has no address that can be asked for ({error})") from None
    if not is_ours:
        raise SourceError(
            f"{_shown(url)}: its next page is at {_shown(link)}, not on our host; set url to the root the server goes by"
        )
    return link


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _shown(url: str) -> str:
    """The address without its query, where a credential may stand."""
    return url.partition("?")[0]
