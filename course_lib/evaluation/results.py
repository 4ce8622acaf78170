"""Results: the scores of one model on one task, with all that is needed to repeat and compare them.

Taught in:        evaluation
Checked against:  a result that was saved and read back; means computed by hand
Shapes:           none
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from course_lib.atomic_write import write_whole_text
from course_lib.evaluation.comparisons import Disagreement, mcnemar
from course_lib.evaluation.intervals import Interval, check_items, weighted_mean, wilson_interval


class Measured(NamedTuple):
    """One value of one item, and its weight in the mean."""

    value: float
    weight: float = 1.0


@dataclass(frozen=True)
class ItemScore:
    """The values of one item, and what the model answered."""

    id: str
    values: dict[str, Measured]
    answer: str = ""


class Comparison(NamedTuple):
    """The difference of two models in one metric; McNemar's test where items are right or wrong."""

    difference: Interval
    disagreement: Disagreement | None


@dataclass(frozen=True)
class Result:
    """What came out of one run of the harness."""

    task: str
    version: int
    items_sha256: str
    source: str
    weights_sha256: str
    dtype: str
    device: str
    seed: int
    limit: int
    python: str
    torch: str
    date: str
    seconds: float
    lower_is_better: tuple[str, ...]
    logarithmic: tuple[str, ...]
    scores: tuple[ItemScore, ...]

    @property
    def metrics(self) -> dict[str, Interval]:
        """Each metric with its 95 % interval over the items."""
        check_items(len(self.scores))
        return {name: self._interval(name) for name in self.scores[0].values}

    def _interval(self, name: str) -> Interval:
        values, weights = self._column(name)
        if set(values) <= {0.0, 1.0} and set(weights) == {1.0}:
            return wilson_interval(int(sum(values)), len(values))
        found = weighted_mean(values, weights)
        return Interval(*map(math.exp, found)) if name in self.logarithmic else found

    def _column(self, name: str) -> tuple[list[float], list[float]]:
        if name not in self.scores[0].values:
            known = ", ".join(self.scores[0].values)
            raise ValueError(f"the task {self.task} measures {known}; got {name!r}.")
        values, weights = zip(*(each.values[name] for each in self.scores), strict=True)
        return list(values), list(weights)

    def compared(self, other: "Result") -> dict[str, Comparison]:
        """Return for each metric this model's mean minus the other's, item by item."""
        mine, yours = ((each.task, each.version, each.items_sha256) for each in (self, other))
        if mine != yours:
            raise ValueError(
                "two models are compared on the same items of the same task; got "
                f"{self.task} ({self.limit} items, seed {self.seed}) and {other.task} "
                f"({other.limit} items, seed {other.seed})."
            )
        return {name: self._compared(other, name) for name in self.scores[0].values}

    def _compared(self, other: "Result", name: str) -> Comparison:
        (first, weights), (second, other_weights) = self._column(name), other._column(name)
        if weights != other_weights:  # other tokens: only totals could be compared
            raise ValueError(
                f"{name} weighs items by something that differs between the models, such as their "
                "tokens; compare bits per byte instead."
            )
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        binary = set(first) | set(second) <= {0.0, 1.0}
        test = mcnemar(list(map(int, first)), list(map(int, second))) if binary else None
        return Comparison(weighted_mean(gaps, weights), test)

    def report(self) -> str:
        """Return the metrics as lines of text."""
        head = f"{self.task} (version {self.version}), {len(self.scores)} items: {self.source}"
        lines = [f"  {name:<28} {interval}" for name, interval in self.metrics.items()]
        return "\n".join([head, *lines])

    def save(self, path: Path) -> None:
        """Write the result as JSON."""
        write_whole_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Return a result that was saved."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found["scores"] = tuple(
                ItemScore(
                    each["id"],
                    {name: Measured(*pair) for name, pair in each["values"].items()},
                    each["answer"],
                )
                for each in found["scores"]
            )
            for name in ("lower_is_better", "logarithmic"):
                found[name] = tuple(found[name])
            return cls(**found)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no result of `course evaluate`: {error}.") from error
