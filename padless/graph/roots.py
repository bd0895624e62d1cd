"""Where a number comes from: a tensor's size or a module's attribute, and what products and mixtures of them remember."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Size:
    """`scale` times the size of one axis of a value of the recording."""

    value: int
    axis: int
    scale: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`scale` times a whole number that a module stores, at `index` where it stores a sequence of them."""

    module: str
    name: str
    index: int | None = None
    scale: Fraction = Fraction(1)


Root = Size | Attribute


@dataclass(frozen=True, slots=True)
class Product:
    """`scale` times the product of several axes' sizes, of which a cut may change one."""

    factors: tuple[Size, ...]  # of scale 1
    scale: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Mixed:
    """What was worked out from numbers with these roots, so that it changes with them in no simple way."""

    roots: tuple[Root, ...]


AnyRoot = Root | Product | Mixed


def roots_of(root: AnyRoot) -> tuple[Root, ...]:
    return root.roots if isinstance(root, Mixed) else root.factors if isinstance(root, Product) else (root,)
