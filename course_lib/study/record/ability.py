"""What a learner can do after a notebook, and which exercises and questions are evidence for it.

Each chapter declares its abilities as `ABILITIES`, in the words at the top of its
notebook.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ability:
    """One ability, and the names (without the slug) of the exercises and questions that show it."""

    slug: str
    text: str
    exercises: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    @property
    def exercise_ids(self) -> tuple[str, ...]:
        """The exercises that are evidence for it."""
        return tuple(f"{self.slug}.{name}" for name in self.exercises)

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The quiz questions that are evidence for it."""
        return tuple(f"{self.slug}.{name}" for name in self.questions)


def ability(slug: str, text: str, exercises: str = "", questions: str = "") -> Ability:
    """Return an ability; names are separated by spaces."""
    return Ability(slug, text, tuple(exercises.split()), tuple(questions.split()))
