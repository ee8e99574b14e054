"""What pages are made of: the document, sections, and tables that sort."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxmarl_core.report.page_assets import SCRIPT, STYLE
from jaxmarl_core.store.number_formats import number, option


def document(title: str, main: Iterable[str]) -> str:
    """Returns a page of these sections; empty ones are left out."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, main))
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def facts_table(facts: Mapping[str, Any]) -> str:
    """Returns a table of names and what is said of them."""
    lines = (
        f'<tr><td class="word">{html.escape(str(name).replace("_", " "))}</td>'
        f'<td class="word">{html.escape(_fact(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>'


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def section(title: str, note: str, body: str) -> str:
    """Returns a heading, a note under it, and what follows."""
    return f'<h2>{title}</h2>\n<p class="note">{note}</p>\n{body}'


def sortable_table(
    head: Sequence[str], body: Iterable[Sequence[str]], words: Iterable[str] = ()
) -> str:
    """Returns a table that a click on a heading sorts; columns of `words` are flush left."""
    heads = "".join(
        f"<th{' class=word' if name in words else ''}>"
        f'<button type="button">{html.escape(name) or "&nbsp;"}</button></th>'
        for name in head
    )
    rows = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in body)
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def cell(text: Any, value: Any = None) -> str:
    """Returns a cell; `value` is what it sorts by, where that is not its text."""
    return markup_cell(html.escape(str(text)), value)


def markup_cell(markup: str, value: Any = None) -> str:
    """Returns a cell with elements in it, which are shown as they are."""
    by = "" if value is None else f' data-value="{html.escape(str(value))}"'
    return f"<td{by}>{markup}</td>"


def number_cell(value: float, digits: int = 4) -> str:
    """Returns a cell with a number in few digits."""
    return cell(number(value, digits), "" if np.isnan(value) else repr(float(value)))


def word_cell(text: str) -> str:
    """Returns a cell with words, flush left."""
    return f'<td class="word">{html.escape(text)}</td>'


def option_cell(value: Any, is_word: bool) -> str:
    """Returns a cell with an option's value."""
    if value is None:
        return cell("–", "")
    kind = ' class="word"' if is_word else ""
    return f'<td{kind} data-value="{html.escape(str(value))}">{html.escape(option(value))}</td>'
