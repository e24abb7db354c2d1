"""The guide in the terminal: the same Markdown files that a browser shows."""

import argparse
import os
import sys
from pathlib import Path

from daycast.cli.arguments import Arguments
from daycast.cli.output import terminal_width
from daycast.errors import ConfigError, did_you_mean

ORDER = (
    "sources",
    "databases",
    "quality",
    "model",
    "forecasts",
    "service",
    "lake",
    "promises",
    "extending",
    "commands",
    "settings",
)  # of reading


def add_guide(arguments: Arguments) -> None:
    """`guide`."""
    guide = arguments.add("guide", _guide, "read the guide, a topic at a time; without one list the topics", "sources")
    topic = guide.add_argument("topic", nargs="?", metavar="TOPIC", help="one of those that `daycast guide` lists")
    topic.completer = lambda **_: find_topics()  # type: ignore[attr-defined] # argcomplete looks for it there


def find_topics() -> dict[str, Path]:
    """The file of each topic, in the order in which they are best read."""
    files = {path.stem: path for path in sorted((Path(__file__).parents[1] / "guide").glob("*.md"))}
    known = [name for name in ORDER if name in files]
    return {name: files[name] for name in [*known, *(name for name in files if name not in known)]}


def _guide(args: argparse.Namespace) -> None:
    topics = find_topics()
    if args.topic is None:
        width = max(map(len, topics))
        for name, path in topics.items():
            print(f"{name:<{width}}  {_title(path)}")
        print("\nRead one: daycast guide TOPIC")
        return
    if args.topic not in topics:
        near = did_you_mean(args.topic, topics) or f": there are {', '.join(topics)}"
        raise ConfigError(f"the guide has no topic {args.topic!r}{near}")
    text = topics[args.topic].read_text(encoding="utf-8")
    if sys.stdout.isatty():
        from daycast.report.terminal import render_markdown

        text = render_markdown(text, terminal_width(), color=not os.environ.get("NO_COLOR"))
    print(text, end="")  # on a pipe as it is, so that code can be copied from it


def _title(path: Path) -> str:
    """The heading that a topic begins with."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").strip()
