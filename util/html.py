"""An HTML page of images that grows by appending, so that an addition costs the same at any length of the page.

The file ends in the closing tags. An addition overwrites them and writes them again, so that the page is valid after
each addition, and after a crash up to the last addition. The page needs neither a server nor JavaScript.
"""

import os
import re
import shutil
from collections.abc import Sequence
from typing import Any

import dominate
from dominate.tags import a, div, figcaption, figure, h1, h2, img, link, meta, section
from PIL import Image

from util.show.page_files import ASSETS, image_url

END_OF_BLOCK = b"</section>\n"  # text has its < escaped, so these bytes are always a tag
FOOTER = b"</main>\n</body>\n</html>\n"


class HTML:
    """``<web_dir>/<file>`` with its images in ``<web_dir>/images``.

    `refresh` > 0 makes browsers reload the page every `refresh` seconds. `keep` appends to the page of an earlier run;
    otherwise the page starts empty. `newest_first` displays the sections in reverse order of their addition.

    ``doc`` (a dominate document) holds elements that a caller added to it and that are not written yet; ``t`` is the
    last row of images.
    """

    def __init__(
        self,
        web_dir: str,
        title: str,
        refresh: int = 0,
        keep: bool = False,
        newest_first: bool = False,
        file: str = "index.html",
    ):
        self.title = title
        self.web_dir = web_dir
        self.img_dir = os.path.join(web_dir, "images")
        self.path = os.path.join(web_dir, file)
        self.doc = dominate.document(title=title, lang="en")
        self.t: Any = None
        self.taken: set[str] = set()  # files under img_dir that this page already uses
        self._keys: set[str] = set()  # of the sections on the page
        # key, start in the file and bytes of the last section
        self._last: tuple[str | None, int | None, bytes | None] = (None, None, None)
        os.makedirs(self.img_dir, exist_ok=True)
        shutil.copyfile(ASSETS / "page.css", os.path.join(web_dir, "page.css"))
        self._describe(refresh)
        if not (keep and self._continue_page()):
            self._start(newest_first)

    def get_image_dir(self) -> str:
        return self.img_dir

    def add_header(self, text: str) -> None:
        """Add a heading."""
        self.doc.add(h2(text))
        self.save()

    def add_images(self, ims: Sequence[str], txts: Sequence[str], links: Sequence[str], width: int = 400) -> None:
        """Add a row; `ims` and `links` are relative to the image folder, `txts` are labels, `width` is CSS pixels."""
        self.t = self.doc.add(self._row(ims, txts, links, width))
        self.save()

    def add_section(
        self,
        header: str,
        ims: Sequence[str],
        txts: Sequence[str],
        links: Sequence[str],
        width: int = 400,
        key: str | None = None,
    ) -> None:
        """Add a heading with a row. If `key` is the key of the last section, that section is replaced; if it is the
        key of an earlier section, nothing is added."""
        self.save()
        last_key, start, old = self._last
        if key in self._keys and key != last_key:
            return
        block = section(h2(header), self._row(ims, txts, links, width))
        if key is None:
            self._append(_render(block))
            return
        block["id"] = key
        text = _render(block)
        if key != last_key:
            start = self._append(text)
        elif text != old:
            self._append(text, start)
        self._keys.add(key)
        self._last = (key, start, text)

    def save(self) -> None:
        """Write the elements that a caller added to ``doc``; the add_* methods write at once."""
        text = b"".join(_render(child) for child in self.doc.main.children)
        self.doc.main.clear()
        if text:
            self._append(text)

    def _row(self, ims, txts, links, width):
        return div([self._figure(*each, width) for each in zip(ims, txts, links)], cls="row")

    def _figure(self, name, label, target, width):
        size = {"width": width}
        try:
            with Image.open(os.path.join(self.img_dir, name)) as image:
                size["height"] = max(1, round(width * image.height / image.width))
        except (OSError, Image.DecompressionBombError):
            pass  # the file is missing or too large to open: the browser determines the height
        return figure(
            a(img(src=image_url(name), alt=label, loading="lazy", **size), href=image_url(target)), figcaption(label)
        )

    def _describe(self, refresh):
        with self.doc.head:
            meta(charset="utf-8")
            meta(name="viewport", content="width=device-width, initial-scale=1")
            if refresh > 0:
                meta(http_equiv="refresh", content=str(refresh))
            link(rel="stylesheet", href="page.css")

    def _start(self, newest_first):
        opening = b'<!DOCTYPE html>\n<html lang="en">\n%s\n<body>\n%s\n<main%s>\n' % (
            self.doc.head.render().encode("utf-8", "replace"),
            h1(self.title).render(pretty=False).encode("utf-8", "replace"),
            b' class="newest-first"' if newest_first else b"",
        )
        with open(self.path, "wb") as file:
            file.write(opening + FOOTER)

    def _continue_page(self):
        """Read the page of an earlier run and repair an interrupted write at its end; False if it is another page."""
        try:
            with open(self.path, "rb") as file:
                page = file.read()
        except FileNotFoundError:
            return False
        if b"<main" not in page or b'href="page.css"' not in page:
            return False
        if not page.endswith(FOOTER):
            whole = page.rfind(END_OF_BLOCK)
            if whole < 0:
                return False
            page = page[: whole + len(END_OF_BLOCK)] + FOOTER
            with open(self.path, "wb") as file:
                file.write(page)
        for found in re.finditer(rb'<section id="([^"]*)">.*?</section>\n', page, re.DOTALL):
            self._last = (found[1].decode(), found.start(), found[0])
            self._keys.add(self._last[0])
        return True

    def _append(self, text, start=None):
        """Write bytes at the end of the page, or from `start` on, replacing the rest; return their position."""
        with open(self.path, "r+b") as file:
            if start is None:
                start = file.seek(-len(FOOTER), os.SEEK_END)
            file.seek(start)
            file.write(text + FOOTER)
            file.truncate()
        self._last = (None, None, None)
        return start


def _render(tag):
    # "replace" is for file names that are not UTF-8: Python represents them with lone surrogates.
    return tag.render(pretty=False).encode("utf-8", "replace") + b"\n"
