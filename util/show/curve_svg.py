"""Curves of metrics over the checkpoints of a run as an SVG file: a panel for each metric, its best point marked."""

import math
from html import escape

from util.files import write_text

WIDTH, HEIGHT = 640, 180  # of a panel, with its margins
LEFT, RIGHT, ABOVE, BELOW = 70, 20, 30, 30
STYLE = (
    "text{font:12px sans-serif;fill:#333}.b{font-weight:bold}.g{stroke:#ddd}.c{fill:none;stroke:#26c;stroke-width:2}"
)


def draw(path: str, title: str, tags: list[str], best: dict[str, dict], results: dict[str, dict]) -> None:
    """`results`: tag -> scores, as of util.metrics.meter.combine(); `best`: metric -> {"epoch": tag, "value": ...}."""
    panels = [_panel(number, name, tags, best[name]["epoch"], results) for number, name in enumerate(best)]
    height = 30 + HEIGHT * len(panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    parts = [head, f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="#fff"/>']
    parts += [_text(LEFT, 20, title, "b"), *panels, "</svg>"]
    write_text(path, "\n".join(parts) + "\n")


def _panel(number, name, tags, best, results):
    values = [results[tag]["metrics"].get(name, {}).get("value", math.nan) for tag in tags]
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    reach = high - low or abs(high) or 1.0
    top = 30 + number * HEIGHT
    step = (WIDTH - LEFT - RIGHT) / max(1, len(tags) - 1)

    def y(value):
        return top + ABOVE + (high - value) / reach * (HEIGHT - ABOVE - BELOW)

    points = [
        (LEFT + step * place, y(value), tag)
        for place, (tag, value) in enumerate(zip(tags, values))
        if math.isfinite(value)
    ]
    lines = [_text(LEFT, top + 18, f"{name}, best at {best}", "b")]
    for value in {low, high}:
        lines.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        lines.append(_text(LEFT - 6, y(value) + 4, f"{value:.4g}", anchor="end"))
    shown = {round(place * (len(tags) - 1) / 7) for place in range(8)}  # there is room for 8 labels
    for place in sorted(shown):
        lines.append(_text(LEFT + step * place, top + HEIGHT - 10, tags[place], anchor="middle"))
    lines.append(f'<polyline class="c" points="{" ".join(f"{x:.1f},{height:.1f}" for x, height, _ in points)}"/>')
    for x, height, tag in points:
        size, colour = (5, "#d50") if tag == best else (2.5, "#26c")
        lines.append(f'<circle cx="{x:.1f}" cy="{height:.1f}" r="{size}" fill="{colour}"/>')
    return "\n".join(lines)


def _text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
