"""Scenes of shapes whose image in every domain is known, because all images are drawn from one description.

A Scene describes positions; a Look describes appearance. The true translation of an image is its scene drawn with the
other look.

Pixels are computed with + - * / and square roots only, which all IEEE machines round equally, so equal seeds give equal
pixels on every machine. Lengths are fractions of the image side, so a scene can be drawn at any size.
"""

from typing import NamedTuple

import numpy as np

COLOURS = ("Red_Fill", "Green_Fill", "Blue_Fill")  # exactly one of them is true, like hair colours
ATTRIBUTES = ("Striped", "Large", "Dark_Background", *COLOURS)
PATTERNS = ("plain", "striped", "framed")

# Colours from dark to light. A shape's tone is a position on the ramp, so each warm colour has exactly one cool partner
# with the same rank in lightness; unpaired training can learn this correspondence.
RAMPS = {
    "warm": ((0.64, 0.07, 0.12), (0.95, 0.38, 0.10), (1.00, 0.86, 0.28)),
    "cool": ((0.10, 0.10, 0.48), (0.06, 0.45, 0.78), (0.40, 0.88, 0.90)),
    "Red_Fill": ((0.62, 0.06, 0.12), (0.98, 0.42, 0.38)),
    "Green_Fill": ((0.04, 0.38, 0.16), (0.42, 0.82, 0.36)),
    "Blue_Fill": ((0.08, 0.16, 0.58), (0.34, 0.62, 0.98)),
}

BAND = 0.11  # width of a light and a dark stripe together
GROWTH = 1.4  # factor of the radius for the attribute Large
LARGEST, GAP = 0.27, 0.03  # largest radius of the circle around a shape; smallest distance between two circles


class Shape(NamedTuple):
    """A shape: `radius` is that of the circle around it, `tone` in [0, 1] goes from dark to light."""

    kind: str
    x: float
    y: float
    radius: float
    turn: tuple  # (cos, sin) of its rotation
    tone: float


class Scene(NamedTuple):
    """The part of an image that is the same in every domain."""

    shapes: tuple
    paper: tuple  # the background's colour, three numbers in [0, 1]
    slope: tuple  # gradient of the brightness in x and in y


class Look(NamedTuple):
    """The part of an image that differs between domains."""

    ramp: str
    pattern: str = "plain"
    growth: float = 1.0
    dark: bool = False


WARM, COOL = Look("warm"), Look("cool", "striped")  # domains A and B


def random_scene(generator, room=1.0):
    """A random scene from a numpy Generator: up to seven shapes that touch neither each other nor the border.

    Radii are divided by `room`, so that this also holds for shapes drawn larger by a factor of up to `room`.
    """
    slope = tuple(generator.uniform(-0.1, 0.1, 2).tolist())
    paper = tuple((np.array((0.88, 0.85, 0.80)) + generator.uniform(-0.015, 0.015, 3)).tolist())
    wanted, shapes = int(generator.integers(4, 8)), []
    for attempt in range(400):
        if len(shapes) == wanted:
            break
        # Later attempts are smaller, so that they fit between the other shapes.
        radius = float(generator.uniform(0.7, 1.0)) * LARGEST * (1 - attempt / 600)
        x, y = generator.uniform(radius + GAP, 1 - radius - GAP, 2).tolist()
        # Half-angle form of (cos, sin): a quarter turn either way, without trigonometry.
        t = float(generator.uniform(-0.41, 0.41))
        turn = ((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t))
        kind, tone = ("disc", "square", "triangle")[generator.integers(3)], float(generator.random())
        if all((x - s.x) ** 2 + (y - s.y) ** 2 > (radius + s.radius + GAP) ** 2 for s in shapes):
            shapes.append(Shape(kind, x, y, radius, turn, tone))
    shapes = [shape._replace(radius=shape.radius / room) for shape in shapes]
    return Scene(tuple(shapes), paper, slope)


def depth_inside(shape, x, y, growth=1.0):
    """The distance of each point from the shape's edge; negative outside the shape."""
    u, v, radius = x - shape.x, y - shape.y, shape.radius * growth
    if shape.kind == "disc":
        return radius * 0.9 - np.sqrt(u * u + v * v)  # 0.9: similar in area to the other shapes
    cos, sin = shape.turn
    u, v = cos * u + sin * v, cos * v - sin * u
    if shape.kind == "square":
        return radius * 0.5**0.5 - np.maximum(np.abs(u), np.abs(v))
    # An equilateral triangle is the part of the plane below three lines at half the radius.
    return radius * 0.5 - np.maximum(v, np.abs(u) * 0.75**0.5 - v * 0.5)


def ramp_colour(name, tone):
    """The colour at `tone` in [0, 1] on a ramp, as an array of three numbers in [0, 1]."""
    stops = np.array(RAMPS[name])
    place = tone * (len(stops) - 1)
    left = min(int(place), len(stops) - 2)
    return stops[left] + (stops[left + 1] - stops[left]) * (place - left)


def pattern_amount(pattern, depth, size):
    """The share of the light second colour: (H, W) in [0, 1], with soft edges one pixel wide.

    Stripes run parallel to the shape's edge, so their position depends on the shape only.
    """
    if pattern == "plain":
        return np.zeros_like(depth)
    if pattern == "framed":
        return np.clip(0.5 + (BAND * 0.5 - depth) * size, 0, 1)
    phase = depth / BAND
    phase = np.abs(phase - np.floor(phase) - 0.5)  # 0.5 at the edge, 0 half a band further in
    return np.clip(0.5 + (0.25 - phase) * BAND * size, 0, 1)


def draw(scene, look, size):
    """The image of `scene` in `look`: uint8 (size, size, 3)."""
    centres = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(centres, centres)
    light = 1 + scene.slope[0] * (2 * x - 1) + scene.slope[1] * (2 * y - 1)
    image = np.array(scene.paper) * light[..., None] * (0.3 if look.dark else 1.0)
    for shape in scene.shapes:
        depth = depth_inside(shape, x, y, look.growth)
        colour = ramp_colour(look.ramp, shape.tone)
        amount = pattern_amount(look.pattern, depth, size)[..., None]
        fill = colour + (1 - colour) * 0.6 * amount
        cover = np.clip(0.5 + depth * size, 0, 1)[..., None]  # the share of the pixel that the shape covers
        image = image + (fill - image) * cover
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def look_of(attributes):
    """The Look for a set of attribute names, one of them a colour."""
    colour = next(name for name in COLOURS if name in attributes)
    pattern = "striped" if "Striped" in attributes else "plain"
    return Look(colour, pattern, GROWTH if "Large" in attributes else 1.0, "Dark_Background" in attributes)


def flipped(attributes, name):
    """The set of attributes after changing `name`: a colour replaces the other colours, anything else is flipped."""
    if name in COLOURS:
        return (set(attributes) - set(COLOURS)) | {name}
    return set(attributes) ^ {name}
