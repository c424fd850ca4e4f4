"""A page of pictures that is written as it grows: every addition goes to the end of the file, at the same small cost.

The file always ends in the same few closing tags. An addition is written over them together with a new copy of them,
so that the page is whole after each one, and up to the last one after a crash. Nothing needs a server or a script.
"""

import os
import re
import shutil
from urllib.parse import quote

import dominate
from dominate.tags import a, div, figcaption, figure, h1, h2, img, link, meta, section
from PIL import Image

END_OF_BLOCK = b"</section>\n"  # in a text the < would be escaped, so this is always a tag
FOOTER = b"</main>\n</body>\n</html>\n"


class HTML:
    """``<web_dir>/index.html`` with its pictures in ``<web_dir>/images``.

    `refresh` > 0 makes browsers reload the page every so many seconds. `keep` goes on with a page that an earlier run
    left; otherwise the page starts afresh. `newest_first` shows the sections in the reverse of the order they came.

    ``doc`` (a dominate document) holds what was added to it from outside and is not written yet; ``t`` is the last
    row of pictures.
    """

    def __init__(self, web_dir, title, refresh=0, keep=False, newest_first=False):
        self.title = title
        self.web_dir = web_dir
        self.img_dir = os.path.join(web_dir, "images")
        self.path = os.path.join(web_dir, "index.html")
        self.doc = dominate.document(title=title, lang="en")
        self.t = None
        self.taken = set()  # files under img_dir that this page's items have used up
        self._keys = set()  # of the sections listed so far
        self._last = (None, None, None)  # key, start in the file and bytes of the section the file ends with
        os.makedirs(self.img_dir, exist_ok=True)
        shutil.copyfile(os.path.join(os.path.dirname(__file__), "page.css"), os.path.join(web_dir, "page.css"))
        self._describe(refresh)
        if not (keep and self._take_over()):
            self._start(newest_first)

    def get_image_dir(self):
        return self.img_dir

    def add_header(self, text):
        """A heading by itself."""
        self.doc.add(h2(text))
        self.save()

    def add_images(self, ims, txts, links, width=400):
        """A row: files and link targets relative to the image folder, the labels under them, `width` in CSS pixels."""
        self.t = self.doc.add(self._row(ims, txts, links, width))
        self.save()

    def add_section(self, header, ims, txts, links, width=400, key=None):
        """A heading and its row in one. A `key` is listed once: the newest section is replaced, older ones stay."""
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

    def save(self):
        """Write what was put into ``doc`` by hand; everything added through the methods is on disk already."""
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
            pass  # not there (yet), or huge: the browser will find out its height
        return figure(a(img(src=_url(name), alt=label, loading="lazy", **size), href=_url(target)), figcaption(label))

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

    def _take_over(self):
        """Read the page an earlier run left, mend its end if that run died while writing; False if it isn't ours."""
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
        """Put bytes at the end of the page, or at `start` in place of the end; returns where they begin."""
        with open(self.path, "r+b") as file:
            if start is None:
                start = file.seek(-len(FOOTER), os.SEEK_END)
            file.seek(start)
            file.write(text + FOOTER)
            file.truncate()
        self._last = (None, None, None)
        return start


def _render(tag):
    # "replace" is for file names that are not UTF-8: Python hands them round as lone surrogates.
    return tag.render(pretty=False).encode("utf-8", "replace") + b"\n"


def _url(name):
    """A file's path under the image folder as a relative, percent-encoded address."""
    return "images/" + quote(os.fsencode(name.replace(os.sep, "/")))
