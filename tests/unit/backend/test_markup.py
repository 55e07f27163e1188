"""`ocrvl.markup`: what is printed, as a viewer of Markdown or HTML shows it."""

from __future__ import annotations

import re
from html import escape, unescape

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from ocrvl.markup import escape_html, escape_markdown, mark_shown, mark_written, unmark
from ocrvl.postprocess import replace_formula_delimiters

PLAIN = [
    "The boat leaves at noon",
    "Price $100 and then $200 more",
    "It costs $5 or $6 a piece",
    "A note of **** stars, 3 * 4 and snake_case",
    "Fish & chips, 1 < 2, a > b, 50% off, C# and 5~10",
    "[1] Smith, (a) first, item: one; it's 'so' - or \"so\"!",
    "- one\n- two",
    "1. one\n2. two",
    "1986. A year",
    r"C:\temp",
]
"""What Markdown shows as it is."""

LIKE_MARKUP = [
    '<recv response="200"/> is sent',
    "List<String> names and a<b, c>d",
    "Use <b>bold</b> <!-- here --> <?php",
    "Code 2**3 and 4**5, a *b* c, **d**, __init__ and _e_",
    "3 * 4 and `tick` marks and ``x``",
    "US$ and CA$, $HOME and $PATH",
    "$HOME/bin:$PATH, price $ 5 and $ 6",
    "see [1](a) and ![x](y) and [a][b]",
    "[1]: http://example.org",
    "# 5 items",
    "> 5 and\n> 6",
    "* Prices include tax",
    "+ 5.00\n- 5.00\n- $5",
    "-----",
    "***",
    "* * *",
    "x\n===",
    "x\n-",
    "a|b\n---|---\nc|d",
    "AT&amp;T and &lt;",
    "~~gone~~",
    "1. one\n3. three\n4. four",
    r"\* and \<b> and C:\*",
    "    four <b>",
    "\ttab <b>",
    "line\n```\nfence\n```",
    "\\$5 and a line \\\nmore",
    "1) one\n2) two",
    "+\n*",
    "see [a\nb](c)",
]


def shown(markdown: str) -> str:
    """What a viewer shows, without the marks of lists; formulas are between ⟦⟧."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    dollarmath_plugin(
        parser, allow_digits=False, double_inline=True, renderer=lambda tex, _options: f"⟦{escape(tex.strip())}⟧"
    )
    html = re.sub(r'<ol(?: start="([0-9]+)")?>\s*<li>', lambda found: f"{found[1] or 1}. ", parser.render(markdown))
    return words(unescape(re.sub(r"<[^>]*>", "", html)))


def words(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("text", PLAIN)
def test_text_that_is_no_markup_stays_as_it_is(text: str) -> None:
    assert escape_markdown(mark_written(text)) == text


@pytest.mark.parametrize(("text", "escaped"), [("- > 5", r"- \> 5"), ("1. # 5", r"1. \# 5"), ("- -", r"\- -")])
def test_what_begins_an_item_of_a_list_begins_no_other_block(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize("text", LIKE_MARKUP)
def test_text_that_looks_like_markup_is_shown_whole(text: str) -> None:
    escaped = escape_markdown(mark_written(text))
    assert escaped != text
    assert shown(escaped) == words(text)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (r"so \(a_1\) is $5 and \[E=mc^2\]", "so⟦a_1⟧is$5and⟦E=mc^2⟧"),
        (r"\(x\)y <b> \(x*y*z\)", "⟦x⟧y<b>⟦x*y*z⟧"),
        ("so $x^2$ of $5", "so⟦x^2⟧of$5"),
        (r"$\(x\)$ and US$ and CA$", "⟦x⟧andUS$andCA$"),
    ],
)
def test_formulas_stay_formulas_and_printed_dollars_print(written: str, expected: str) -> None:
    assert shown(escape_markdown(mark_shown(replace_formula_delimiters(written)))) == expected


@pytest.mark.parametrize("text", [*PLAIN, *LIKE_MARKUP])
def test_marking_changes_nothing_that_is_printed(text: str) -> None:
    assert unmark(mark_written(text)) == unmark(mark_shown(text)) == text


@pytest.mark.parametrize("text", [text for text in LIKE_MARKUP if "\n" not in text and not text[0].isspace()])
def test_a_title_is_shown_whole(text: str) -> None:
    assert shown("# " + escape_markdown(mark_written(text), title=True)) == words(text)
    assert shown("# " + escape_markdown("C #", title=True)) == "C#"


@pytest.mark.parametrize("text", [*PLAIN, *LIKE_MARKUP])
def test_html_shows_the_text_whole(text: str) -> None:
    assert unescape(re.sub(r"</?[A-Za-z!?][^>]*>", "", escape_html(mark_written(text)))) == text


def test_a_long_text_of_marks_takes_no_longer_than_its_length() -> None:
    # each of these would be searched to the end for each mark by a careless pattern
    for mark in ("$", "[", "`", "*", "$$", "<", "](", "\\("):
        text = mark * 100_000
        assert shown(escape_markdown(mark_shown(mark_written(text[:50])))) is not None
        assert len(unmark(mark_written(text))) == len(text)
        assert len(escape_markdown(mark_shown(text))) >= len(text)
