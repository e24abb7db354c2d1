"""Text in the cells of a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from daycast.report.terminal import cut, printable, render_pairs, render_table, wrap

COLUMNS = [("name", "left"), ("n", "right"), ("reason", "left")]
ROWS = [["Ulm", "1,234", "warm and dry"], ["東京", "5", "wet"]]


def test_a_table_lines_up_texts_on_the_left_and_numbers_on_the_right():
    assert render_table(COLUMNS, ROWS, 80).splitlines() == [
        "name      n  reason",
        "Ulm   1,234  warm and dry",
        "東京      5  wet",
    ]


def test_a_table_gives_up_its_gaps_first_and_then_breaks_texts_between_words():
    assert render_table(COLUMNS, ROWS, 24).splitlines()[1] == "Ulm  1,234 warm and dry"
    assert render_table(COLUMNS, ROWS, 20).splitlines() == [
        "name     n reason",
        "Ulm  1,234 warm and",
        "           dry",
        "東京     5 wet",
    ]


def test_the_text_below_a_row_is_indented_and_wrapped():
    shown = render_table(COLUMNS[:2], [row[:2] for row in ROWS], 20, below=["one two three four five", "six"])
    assert shown.splitlines() == [
        "name      n",
        "Ulm   1,234",
        "  one two three four",
        "  five",
        "東京      5",
        "  six",
    ]


def test_names_stand_beside_their_wrapped_text_and_are_not_repeated():
    shown = render_pairs([("Rows", "one two three"), ("Rows", "four"), ("Skill", "")], 20)
    assert shown.splitlines() == ["Rows        one two", "            three", "            four", "Skill"]


def test_a_word_longer_than_a_line_is_broken():
    assert wrap("a " + "x" * 25, 10) == ["a", "x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize(
    ("text", "expected"), [("abcd", "abcd"), ("abcde", "abc…"), ("東京都", "東…"), ("ab cd", "ab…")]
)
def test_what_is_cut_ends_in_an_ellipsis(text, expected):
    assert cut(text, 4) == expected


def test_what_a_terminal_would_obey_is_written_as_an_escape():
    assert printable("\x1b[31mrot\n\u202e") == r"\x1b[31mrot\n\u202e"
    assert printable("Mühlsee 東京 °C") == "Mühlsee 東京 °C"


@given(st.text(), st.integers(2, 60))
def test_no_wrapped_or_cut_line_takes_more_cells_than_it_may(text, width):
    assert all(cell_len(line) <= width and line.isprintable() for line in wrap(text, width))
    assert cell_len(cut(printable(text), width)) <= width


@given(st.text(st.characters(categories=["L", "N"], include_characters=" ")), st.integers(2, 60))
def test_wrapping_loses_nothing_but_spaces(text, width):
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")
