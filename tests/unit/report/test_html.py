import pytest

from daycast.report.sections import Markup, as_html, bar, table, tag


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"])
def test_text_and_attributes_are_escaped(text):
    made = tag("option", text, value=text)
    assert "<script" not in made
    assert "<img" not in made
    assert made.count("<") == 2  # the element's own


def test_markup_is_not_escaped_twice():
    assert tag("p", tag("b", "1 < 2")) == "<p><b>1 &lt; 2</b></p>"
    assert isinstance(as_html("x"), Markup)


def test_nothing_is_a_dash():
    assert as_html(None) == "–"
    assert bar(None) == "–"


def test_a_share_above_one_does_not_overflow_its_bar():
    assert "width:100.0%" in bar(1.2)


def test_a_row_of_another_length_than_the_headings_is_refused():
    with pytest.raises(ValueError, match="zip"):
        table([("a", ""), ("b", "number")], [["1"]])
