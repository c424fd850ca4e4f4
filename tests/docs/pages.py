"""Parses the documentation pages: code blocks, commands, headings, links."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"(?:<!-- needs (?P<needs>[\w ]+) -->\n)?```bash\n(?P<code>.*?)```", re.DOTALL)


class Command(NamedTuple):
    words: tuple
    needs: str | None  # "a download", "a GPU": such a block is only parsed
    line: int

    def __str__(self):
        return " ".join(self.words)


def commands(page):
    """The command lines of a page's bash blocks, in order; continued lines are joined, comments removed."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("code")) + 1
        for command in block["code"].replace("\\\n", " ").splitlines():
            if words := tuple(shlex.split(command, comments=True)):
                found.append(Command(words, block["needs"], line))
    return found


def without_code(page):
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as code hosts make them."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


def links(page):
    return re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)", without_code(page))


def inline_code(page):
    return re.findall(r"`([^`]+)`", without_code(page))
