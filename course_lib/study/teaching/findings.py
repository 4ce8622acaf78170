"""What the records of a class say: who has shown which ability, and what cost most attempts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from course_lib import SYLLABUS, Notebook
from course_lib.study.chapter_parts import all_exercises
from course_lib.study.record.evidence import Evidence
from course_lib.study.teaching.gather import Learner


@dataclass(frozen=True)
class AbilityFinding:
    """One ability, and what each learner who exported its notebook has of it."""

    notebook: Notebook
    text: str
    evidence: tuple[tuple[str, Evidence], ...]  # by the learner's name

    @property
    def shown(self) -> tuple[tuple[str, datetime], ...]:
        """Who has shown it in full, and when the last of its evidence came."""
        found = [
            (name, each.last_at)
            for name, each in self.evidence
            if each.word == "shown" and each.last_at is not None
        ]
        return tuple(sorted(found, key=lambda pair: pair[1]))

    @property
    def begun(self) -> tuple[str, ...]:
        """Who has some evidence of it."""
        return tuple(name for name, each in self.evidence if each.word == "begun")


@dataclass(frozen=True)
class ExerciseFinding:
    """What one exercise cost the learners who tried it, until it passed for the first time."""

    id: str
    title: str
    tries: tuple[int, ...]
    passed: int
    hints: int  # of learners that asked for one
    mistakes: tuple[tuple[str, int], ...]  # each known mistake, by how many learners; most first

    @property
    def middle(self) -> float:
        """The median number of runs."""
        return float(median(self.tries))


def ability_findings(learners: Sequence[Learner]) -> tuple[AbilityFinding, ...]:
    """Return every ability of the notebooks that somebody exported, in the course's order."""
    evidence: dict[tuple[str, str], list[tuple[str, Evidence]]] = {}
    for learner in learners:
        for chapter in learner.chapters:
            for ability, found in chapter.abilities:
                key = chapter.notebook.slug, ability.text
                evidence.setdefault(key, []).append((learner.name, found))
    return tuple(
        AbilityFinding(notebook, text, tuple(pairs))
        for notebook in SYLLABUS
        for (slug, text), pairs in evidence.items()
        if slug == notebook.slug
    )


def exercise_findings(learners: Sequence[Learner]) -> tuple[ExerciseFinding, ...]:
    """Return every exercise that somebody tried, the one that cost most attempts first."""
    found = []
    for exercise in all_exercises():
        runs = [learner.record.runs.get(exercise.id) for learner in learners]
        tried = [run for run in runs if run is not None and run.tries]
        if not tried:
            continue
        mistakes = Counter(name for run in tried for name in run.mistakes)
        found.append(
            ExerciseFinding(
                id=exercise.id,
                title=exercise.title,
                tries=tuple(run.tries for run in tried),
                passed=sum(run.passed for run in tried),
                hints=sum(run.hints > 0 for run in tried),
                mistakes=tuple(sorted(mistakes.items(), key=lambda pair: (-pair[1], pair[0]))),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.middle, -sum(each.tries))))


def shown_count(learner: Learner, slug: str | None = None) -> tuple[int, int]:
    """Return how many abilities a learner has shown, and how many the exported notebooks have."""
    words = [
        found.word
        for chapter in learner.chapters
        if slug in (None, chapter.notebook.slug)
        for _, found in chapter.abilities
    ]
    return words.count("shown"), len(words)
