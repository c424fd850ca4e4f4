"""StarGAN's labels and targets; no other module depends on the layout of a label (section 3.2 of the paper, eq. 7).

A label is a vector of attributes (0 or 1 each), the number of a domain or, if a run learns from both kinds of data, a
vector with both and a mask of two values: which of the two is known. The generator's condition has the same layout:

    attributes only: [ attributes ]      domains only: [ domain, one-hot ]
    both:            [ attributes | domain, one-hot | attributes known? | domain known? ]

Unknown attributes are 0 in a label and in a condition, and NaN in a tensor of attributes (N, attributes).
"""

from itertools import combinations

import torch
import torch.nn.functional as F

from models import losses
from util.errors import InputError, nearest

COMBINED = ("Brown_Hair", "Male", "Young")  # the original's combinations: two of them, then all three


class Labels:
    """The labels that a run learns: `attributes`, of which an image has any number, and `domains`, of which it has one.

    A target is a domain, an attribute, attributes joined by ``+``, or a dict {attribute: 0 or 1}, in text form
    ``Blond_Hair=1+Male=0``. In a text without values, an `exclusive` attribute is set to 1 and the other exclusive
    attributes to 0; any other attribute is flipped.
    """

    def __init__(self, attributes, domains, exclusive=()):
        self.attributes, self.domains = list(attributes), list(domains)
        self.exclusive = [name for name in self.attributes if name in exclusive]
        self.names = self.attributes + self.domains  # in the order of the discriminator's logits
        twice = next((name for name in self.names if self.names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{twice}: this name is given twice among the attributes and domains; give it once")
        self.both = bool(self.attributes and self.domains)
        self.width = len(self.names) + 2 * self.both  # of a condition

    # --- labels ------------------------------------------------------------------------------------------------------

    def check(self, label, path):
        """InputError, which names the image `path`, if the label does not fit the model."""
        if label is None:
            raise InputError(
                f"{path}: its data set gives no label, which StarGAN learns from; try --dataset_mode celeba"
            )
        numbers = label.dim() == 1  # of domains
        width = int(label.max()) + 1 if numbers else label.shape[1]
        if (width > self.width or self.attributes) if numbers else width != self.width:
            raise InputError(
                f"{path}: its label has {width} values{' or more' if numbers else ''}, and the model was made for "
                f"{self.width} (--selected_attrs, --domains); compare --dataset_mode with the data"
            )

    def split(self, label):
        """(attributes, domain one-hot, attributes known?): (N, attributes), (N, domains), (N, 1) of 0 and 1."""
        vector, end = self.condition_of(label), len(self.names)
        known = vector[:, end : end + 1] if self.both else torch.ones_like(vector[:, :1])
        return vector[:, : len(self.attributes)], vector[:, len(self.attributes) : end], known

    def starts_iteration(self, label):
        """Whether the batch begins an iteration: with both kinds of data, it has two batches, first attributes."""
        return not self.both or bool(self.split(label)[2][0] == 1)

    def condition_of(self, label):
        """The condition (N, width) of the label's own domains."""
        return label if label.is_floating_point() else F.one_hot(label, self.width).float()

    def attributes_of(self, label):
        """(N, attributes) of 0 and 1; NaN where unknown."""
        attributes, _, known = self.split(label)
        return torch.where(known > 0, attributes, torch.nan)

    def classification_loss(self, logits, label):
        """The domain term (eqs. 2 and 3), a scalar; labels that the mask marks as unknown contribute 0."""
        if not self.both:
            return losses.classification_loss(logits, label)
        attributes, hot, known = self.split(label)
        count = len(self.attributes)
        bce = F.binary_cross_entropy_with_logits(logits[:, :count], attributes, reduction="none")
        # An unknown domain is all zeros in the label, so its cross-entropy is 0 without a mask.
        return (known * bce).sum() / len(logits) + F.cross_entropy(logits[:, count:], hot)

    # --- targets -----------------------------------------------------------------------------------------------------

    def columns(self):
        """The names of the values of a condition."""
        return self.names + ["attributes known", "domain known"] * self.both

    def usual(self):
        """All attributes and domains, and those combinations of the original whose attributes the run learns."""
        combined = [group for size in (2, 3) for group in combinations(COMBINED, size)]
        learnt = ["+".join(group) for group in combined if set(group) <= set(self.attributes)]
        return self.attributes + learnt + self.domains

    def parse(self, text):
        """{name: target} for names with commas between them; None stands for all the usual targets."""
        targets = self.usual() if text is None else [name.strip() for name in text.split(",")]
        return {target: self._checked(target, f"--targets {target}") for target in targets}

    def named(self, target):
        """{name: target} for one target, a text or a dict."""
        if not isinstance(target, dict):
            return {target: self._checked(target, f"target {target}")}
        self._check_values(target, f"target {target}")
        return {"+".join(f"{name}={int(value)}" for name, value in target.items()): target}

    def conditions(self, targets, attributes):
        """{name: condition} for {name: target}."""
        return {name: self.condition(target, attributes) for name, target in targets.items()}

    def condition(self, target, attributes):
        """The condition (N, width) of a target for images with these attributes; NaN if it depends on unknown ones."""
        hot = attributes.new_zeros(attributes.shape[0], len(self.domains))
        if not isinstance(target, dict) and target in self.domains:
            hot[:, self.domains.index(target)] = 1
            attributes = torch.zeros_like(attributes)
        else:
            attributes = self._changed(target, attributes)
        mask = torch.stack((1 - hot.sum(1), hot.sum(1)), dim=1)  # (N, 2): exactly one of the two is known
        return torch.cat((attributes, hot, mask) if self.both else (attributes, hot), dim=1)

    def needs_attributes(self, target):
        """Whether the condition of a target depends on the attributes of the image, which it keeps or flips."""
        if not isinstance(target, dict) and target in self.domains:
            return False
        values = target if isinstance(target, dict) else dict.fromkeys(self._parts(target))
        settled = {name for name, value in values.items() if value is not None or name in self.exclusive}
        if any(values[name] in (None, 1) for name in settled.intersection(self.exclusive)):
            settled.update(self.exclusive)
        return not settled.issuperset(self.attributes)

    def _changed(self, target, attributes):
        columns = dict(zip(self.attributes, attributes.unbind(1)))
        values = target if isinstance(target, dict) else dict.fromkeys(self._parts(target))
        if any(name in self.exclusive and value in (None, 1) for name, value in values.items()):
            columns |= {name: torch.zeros_like(columns[name]) for name in self.exclusive}
        for name, value in values.items():
            if value is not None:
                columns[name] = torch.full_like(columns[name], value)
            else:  # from a text: an exclusive attribute is set, any other is flipped
                columns[name] = torch.ones_like(columns[name]) if name in self.exclusive else 1 - columns[name]
        return torch.stack(list(columns.values()), dim=1)

    def _parts(self, target):
        return [target] if target in self.attributes else target.split("+")

    def _checked(self, target, source):
        """The target of a text, after checks: the text itself, or a dict for "Blond_Hair=1+Male=0"."""
        parts = target.split("+") if isinstance(target, str) and target not in self.names else []
        if not parts or not all(part.endswith(("=0", "=1")) for part in parts):
            self._check_text(target, source)
            return target
        values = {part[:-2]: int(part[-1]) for part in parts}
        self._check_values(values, source)
        return values

    def _check_text(self, target, source):
        if target in self.domains:
            return
        parts = self._parts(target) if isinstance(target, str) else [target]
        self._check_attributes(parts, source)
        self._check_exclusive(parts, source)
        if len(set(parts)) < len(parts):
            raise InputError(f"{source}: the same attribute twice")

    def _check_values(self, target, source):
        self._check_attributes(target, source)
        wrong = next((name for name, value in target.items() if value not in (0, 1)), None)
        if wrong is not None or not target:
            raise InputError(f"{source}: give attributes of {', '.join(self.attributes)} with the value 0 or 1 each")
        self._check_exclusive([name for name, value in target.items() if value], source)

    def _check_attributes(self, names, source):
        for name in names:
            if name in self.domains:
                raise InputError(f"{source}: {name} is a domain of a folder; give it alone, without attributes")
            if name not in self.attributes:
                hint = nearest(name, self.names)
                raise InputError(
                    f"{source}: the run has not learnt '{name}';{hint} choose from {', '.join(self.names)}"
                )

    def _check_exclusive(self, names, source):
        shared = list(dict.fromkeys(name for name in names if name in self.exclusive))
        if len(shared) > 1:
            raise InputError(f"{source}: {' and '.join(shared)} exclude each other")
