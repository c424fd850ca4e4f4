"""Where to translate: the words of ``--targets`` and the conditions they stand for in StarGAN's generator.

A condition holds the attributes (0 or 1 each), or the domain (one-hot), or both and a mask that says which is meant:

    [ attributes ]      [ domains ]      [ attributes | domains | attributes? | domains? ]
"""

from itertools import combinations

import torch

from models.flags import HAIR
from util.errors import InputError, nearest

COMBINED = ("Brown_Hair", "Male", "Young")  # the usual combinations: two of them, then all three


class Targets:
    """What a run has learnt: `attributes` of which an image may have several, and `domains` of which it has one.

    A target is a domain, an attribute, or attributes joined by ``+``. An attribute among the `exclusive` ones takes
    the place of the others of them; any other one is flipped.
    """

    def __init__(self, attributes, domains, exclusive=HAIR):
        self.attributes, self.domains = list(attributes), list(domains)
        self.exclusive = [name for name in self.attributes if name in exclusive]
        names = self.attributes + self.domains
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{twice}: two of the domains have this name; give each of them once")
        self.both = bool(self.attributes and self.domains)
        self.width = len(names) + 2 * self.both  # of a condition

    def usual(self):
        """Every attribute and domain, and the usual combinations as far as they were learnt."""
        combined = [group for size in (2, 3) for group in combinations(COMBINED, size)]
        learnt = ["+".join(group) for group in combined if set(group) <= set(self.attributes)]
        return self.attributes + learnt + self.domains

    def parse(self, text):
        """The targets in a comma-separated list; all the usual ones if it is None."""
        targets = self.usual() if text is None else [name.strip() for name in text.split(",")]
        for target in targets:
            self._check(target)
        return list(dict.fromkeys(targets))

    def needs_attributes(self, target):
        """Whether one must know an image's attributes, to flip or to keep them."""
        return target not in self.domains and self.attributes != self.exclusive

    def condition(self, target, attributes):
        """(N, width) for images with these attributes, (N, len(self.attributes)); their values matter if needed."""
        if target in self.domains:
            hot = attributes.new_zeros(len(attributes), len(self.domains))
            hot[:, self.domains.index(target)] = 1
            return self.joined(torch.zeros_like(attributes), hot) if self.both else hot
        changed = attributes.clone()
        for name in self._parts(target):
            column = self.attributes.index(name)
            if name in self.exclusive:
                changed[:, [self.attributes.index(other) for other in self.exclusive]] = 0
                changed[:, column] = 1
            else:
                changed[:, column] = 1 - changed[:, column]
        return self.joined(changed, attributes.new_zeros(len(attributes), len(self.domains))) if self.both else changed

    def joined(self, attributes, hot):
        mask = torch.stack((1 - hot.sum(1), hot.sum(1)), dim=1)  # (N, 2): exactly one of the two is known
        return torch.cat((attributes, hot, mask), dim=1)

    def _parts(self, target):
        return [target] if target in self.attributes else target.split("+")

    def _check(self, target):
        if target in self.domains:
            return
        parts = self._parts(target)
        for name in parts:
            if name in self.domains:
                raise InputError(f"--targets {target}: {name} is a folder's domain, an image is in one of them only")
            if name not in self.attributes:
                names = self.attributes + self.domains
                hint = nearest(name, names) or f" choose of {', '.join(names)}"
                raise InputError(f"--targets {target}: nothing was learnt about '{name}';{hint}")
        shared = [name for name in parts if name in self.exclusive]
        if len(shared) > 1:
            raise InputError(f"--targets {target}: {' and '.join(shared)} exclude each other")
        if len(set(parts)) < len(parts):
            raise InputError(f"--targets {target}: the same attribute twice")
