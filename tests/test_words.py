"""Plain English: what the glossary replaces does not come back into what users and readers see."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import rooms

ROOT = Path(__file__).resolve().parents[1]
INSTEAD = {
    r"held by|who held it": "blocked by, waiting behind, acquired by, the holder of",
    r"lacks? a CPU|lacked a CPU": "runnable, in the run queue",
    r"ha(?:s|ve|d) (?:a|its|their) turn": "on CPU",
    r"keeps? what matters|chance it had": "tail sampling, sampling probability",
    r"lost sight of|not taken": "dropped",
    r"accus\w+": "significant",
    r"dear(?:er|est)?": "overhead, costs more",
    r"utili[sz]e[sd]?|leverag\w+|in order to|boilerplate|robustly|seamless(?:ly)?|gracefully": "a plain word",
    r"todo|fixme|xxx": "an issue",
}
"""What is not written (whole words, whatever their case), and what is written instead."""

BLAMED = re.compile("|".join(rf"\b(?:{words})\b" for words in INSTEAD), re.IGNORECASE)
QUOTED = re.compile(r"^>.*$|^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
"""In a document: what a program printed, and code."""

CODE = [
    *rooms.files(ROOT, *rooms.PACKAGES),
    *ROOT.glob("whywait/*.py"),
    *ROOT.glob("analysis/**/*.html"),
    *ROOT.glob("analysis/**/*.js"),
]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def blamed(text: str) -> Iterator[str]:
    """Give each word that has a better one, with that one."""
    for found in BLAMED.findall(re.sub(r"\s+(?:# )?", " ", text)):
        yield f"{found!r}: {next(to for words, to in INSTEAD.items() if re.fullmatch(words, found, re.IGNORECASE))}"


def test_documents_and_code_use_the_glossarys_words() -> None:
    texts = {path: path.read_text() for path in CODE} | {path: QUOTED.sub("", path.read_text()) for path in PAGES}
    found = [f"{path.relative_to(ROOT)}: {said}" for path, text in texts.items() for said in blamed(text)]
    assert found == []


@pytest.mark.parametrize("wrong", ["Held by f", "a thread lacks a CPU", "nobody to accuse", "lost\nsight of"])
def test_a_word_that_has_a_better_one_is_seen(wrong: str) -> None:
    assert [*blamed(" ".join(wrong.split()))]
