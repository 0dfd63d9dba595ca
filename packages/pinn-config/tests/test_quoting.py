"""A quotation is one short line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pinn_config.quoting import one_line


@given(st.text(), st.integers(1, 40))
def test_a_quotation_is_one_short_printable_line(text, most):
    line = one_line(text, most)
    assert line.isprintable() and "\n" not in line
    assert len(line) <= 10 * most + 3  # a control character is written as \\U0000001b at most


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_a_plain_word_is_quoted_as_it_is(text):
    assert one_line(text) == text


def test_what_is_cut_says_so():
    assert one_line("a b\tc\nd", 5) == "a b c..."
