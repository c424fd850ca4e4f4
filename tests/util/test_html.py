"""util.html: the page is complete after every addition, additions are cheap, and names are escaped."""

import html.parser
import itertools
import os
import re
from urllib.parse import unquote

import pytest
from dominate.tags import h3, p
from PIL import Image

from util.html import FOOTER, HTML

VOID = {"meta", "link", "img", "br"}


class Reader(html.parser.HTMLParser):
    """Collects tags, attributes and text; ``balanced`` is whether every tag was closed in order."""

    def __init__(self, page):
        super().__init__()
        self.balanced, self.open, self.tags, self.text = True, [], [], []
        with open(os.path.join(page.web_dir, "index.html"), encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)
        self.balanced = self.balanced and not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced = self.balanced and bool(self.open) and self.open.pop() == tag

    def handle_data(self, data):
        self.text.append((self.open[-1] if self.open else None, data))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def headings(self):
        return [data for tag, data in self.text if tag == "h2"]


def picture(page, name, size=(20, 10)):
    path = os.path.join(page.get_image_dir(), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.new("RGB", size).save(path)
    return name


def add_epoch(page, epoch, labels=("real_A", "fake_B")):
    names = [f"epoch{epoch:03d}_{label}.png" for label in labels]
    page.add_section(f"epoch [{epoch}]", names, list(labels), names, width=256, key=f"epoch{epoch}")


def test_the_interface_of_the_originals_works(tmp_path):
    page = HTML(str(tmp_path / "web"), "Experiment = a, Phase = test, Epoch = 5", refresh=3)
    name = picture(page, "a_fake_B.png")
    page.add_header("a")
    page.add_images([name], ["fake_B"], [name], width=100)
    page.save()
    reader = Reader(page)
    assert page.title == "Experiment = a, Phase = test, Epoch = 5"
    assert page.get_image_dir() == page.img_dir == os.path.join(page.web_dir, "images")
    assert page.t is not None and page.doc is not None
    assert reader.balanced
    assert reader.headings() == ["a"]
    assert {"http-equiv": "refresh", "content": "3"} in reader.all("meta")
    assert reader.all("a") == [{"href": "images/a_fake_B.png"}]
    image = reader.all("img")[0]
    assert (image["src"], image["alt"], image["loading"]) == ("images/a_fake_B.png", "fake_B", "lazy")
    assert (image["width"], image["height"]) == ("100", "50")


def test_additions_of_a_plug_in_are_written_in_order(tmp_path):
    page = HTML(str(tmp_path), "t")
    page.add_header("first")
    with page.doc:
        h3("by with")
    page.doc.add(p("by add"))
    page.add_header("last")
    source = Reader(page).source
    assert source.index("first") < source.index("by with") < source.index("by add") < source.index("last")
    page.save()
    assert Reader(page).source == source


def test_no_refresh_and_no_script_unless_asked(tmp_path):
    reader = Reader(HTML(str(tmp_path), "t"))
    assert not any("http-equiv" in attrs for attrs in reader.all("meta"))
    assert "script" not in reader.source and "<style" not in reader.source and "style=" not in reader.source


def test_the_page_refers_only_to_files_in_its_folder(tmp_path):
    page = HTML(str(tmp_path), "t")
    style = Reader(page).all("link")[0]["href"]
    css = (tmp_path / style).read_text()
    assert "prefers-color-scheme: dark" in css
    assert "url(" not in css and "@import" not in css


def test_the_page_is_complete_after_every_addition(tmp_path):
    page = HTML(str(tmp_path), "t")
    for number in range(5):
        add_epoch(page, number)
        page.add_header(f"note {number}")
        reader = Reader(page)
        assert reader.balanced
        assert len(reader.headings()) == 2 * (number + 1)


def test_an_update_costs_the_same_however_long_the_page_is(tmp_path, monkeypatch):
    page = HTML(str(tmp_path), "t", newest_first=True)
    written = []
    append = page._append
    monkeypatch.setattr(page, "_append", lambda text, start=None: (written.append(len(text)), append(text, start))[1])
    sizes = []
    for epoch in range(100, 400):
        add_epoch(page, epoch)
        sizes.append(os.path.getsize(page.path))
    growth = {after - before for before, after in itertools.pairwise(sizes)}
    assert len(growth) == 1
    assert set(written) == growth
    assert len(page.doc.main.children) == 0  # nothing is kept in memory


def test_earlier_content_is_not_rewritten(tmp_path):
    page = HTML(str(tmp_path), "t")
    add_epoch(page, 1)
    with open(page.path, "rb") as file:
        before = file.read()[: -len(FOOTER)]
    add_epoch(page, 2)
    with open(page.path, "rb") as file:
        assert file.read().startswith(before)


def test_an_epoch_is_listed_once_with_its_newest_labels(tmp_path):
    page = HTML(str(tmp_path), "t", newest_first=True)
    add_epoch(page, 1)
    add_epoch(page, 2)
    add_epoch(page, 2, ("real_A", "fake_B", "idt_A"))
    add_epoch(page, 2, ("real_A", "fake_B", "idt_A"))
    add_epoch(page, 1)  # an earlier epoch is not changed
    reader = Reader(page)
    assert reader.balanced
    assert reader.headings() == ["epoch [1]", "epoch [2]"]
    assert len(reader.all("img")) == 2 + 3
    add_epoch(page, 2, ("real_A",))
    assert Reader(page).balanced
    assert len(Reader(page).all("img")) == 2 + 1


def test_a_section_before_other_content_is_not_overwritten(tmp_path):
    page = HTML(str(tmp_path), "t")
    add_epoch(page, 1)
    page.add_header("a note")
    add_epoch(page, 1, ("other",))
    assert Reader(page).headings() == ["epoch [1]", "a note"]


def test_newest_first_is_done_by_the_style_sheet(tmp_path):
    assert Reader(HTML(str(tmp_path / "a"), "t", newest_first=True)).all("main") == [{"class": "newest-first"}]
    assert Reader(HTML(str(tmp_path / "b"), "t")).all("main") == [{}]
    assert "column-reverse" in (tmp_path / "a" / "page.css").read_text()


def test_a_kept_page_is_continued_and_another_is_replaced(tmp_path):
    add_epoch(HTML(str(tmp_path), "t", keep=True), 1)
    kept = HTML(str(tmp_path), "t", keep=True)
    add_epoch(kept, 1, ("real_A", "fake_B", "new"))
    add_epoch(kept, 2)
    reader = Reader(kept)
    assert reader.balanced and reader.headings() == ["epoch [1]", "epoch [2]"]
    assert len(reader.all("img")) == 3 + 2
    assert Reader(HTML(str(tmp_path), "t")).headings() == []


@pytest.mark.parametrize("cut", [1, 10, len(FOOTER), len(FOOTER) + 30, len(FOOTER) + 200])
def test_a_page_damaged_by_a_crash_is_repaired_when_kept(tmp_path, cut):
    page = HTML(str(tmp_path), "t")
    for epoch in (1, 2, 3):
        add_epoch(page, epoch)
    os.truncate(page.path, os.path.getsize(page.path) - cut)
    mended = HTML(str(tmp_path), "t", keep=True)
    survived = ["epoch [1]", "epoch [2]"] + (["epoch [3]"] if cut <= len(FOOTER) else [])
    assert Reader(mended).headings() == survived
    add_epoch(mended, 4)
    assert Reader(mended).balanced
    assert Reader(mended).headings() == survived + ["epoch [4]"]


def test_a_page_of_another_program_is_replaced(tmp_path):
    (tmp_path / "index.html").write_text("<!DOCTYPE html><html><body><h3>epoch [1]</h3></body></html>")
    page = HTML(str(tmp_path), "t", keep=True)
    add_epoch(page, 2)
    assert Reader(page).balanced and Reader(page).headings() == ["epoch [2]"]


HOSTILE = ["a#b%20?c.png", "<script>alert(1)</script>.png", "\"onload='x'.png", "sub dir/ä&é.png", "</section>\n.png"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_escaped_in_text_and_encoded_in_addresses(tmp_path, name):
    page = HTML(str(tmp_path), f"title {name}")
    picture(page, name)
    page.add_section(name, [name], [name], [name])
    reader = Reader(page)
    assert reader.balanced
    assert not reader.all("script")
    assert "".join(reader.headings()) == name
    for address in (reader.all("a")[0]["href"], reader.all("img")[0]["src"]):
        assert re.fullmatch(r"images/[\w./~%-]+", address)
        assert (tmp_path / unquote(address)).is_file()
    assert set(reader.all("img")[0]) == {"src", "alt", "loading", "width", "height"}


@pytest.mark.skipif(os.name != "posix", reason="file names are text on this system")
def test_a_file_name_that_is_not_utf8_is_linked(tmp_path):
    page = HTML(str(tmp_path), "t")
    name = os.fsdecode(b"\xff.png")
    page.add_section(name, [name], ["x"], [name])
    assert Reader(page).all("a")[0]["href"] == "images/%FF.png"


def test_a_missing_image_has_no_height(tmp_path):
    page = HTML(str(tmp_path), "t")
    page.add_images(["gone.png"], ["gone"], ["gone.png"])
    assert "height" not in Reader(page).all("img")[0]
