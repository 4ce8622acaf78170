"""The stored measurements come from the functions here, and say what the chapter says."""

import pytest

from course_lib.assistant.arithmetic import Question, held_out_questions
from course_lib.chapters.rewards import measurements
from course_lib.rewards.assistant_grpo import PLAN

ASKED = [Question(100, 200), Question(300, 400)]
TEXTS = [["so 300.", "so 301.", "so 300.", "so 5."], ["so 1.", "so 2.", "so 700.", "so 2."]]


def test_votes_and_passes_by_hand():
    found = measurements.votes_and_passes(ASKED, TEXTS, (1, 2, 4))
    # Votes of 2: 300 (tied, first), 300 (first); 1, 700 (first). Votes of 4: 300; 2.
    assert found["majority vote"] == [(2 / 4 + 1 / 4) / 2, (1 + 1 / 2) / 2, 0.5]
    # 2 right of 4: 1 - 1/6; 1 right of 4: 1/2.
    assert found["pass@n"] == pytest.approx([0.375, (5 / 6 + 1 / 2) / 2, 1.0], abs=1e-4)


def test_the_hole_pays_more_for_chatter_than_for_a_right_sum():
    question = held_out_questions(1)[0]
    chatter = measurements.pays_for_chatter(question, "Good question! I would say 1.")
    plain = measurements.pays_for_chatter(question, f"so {question.sum}.")
    assert chatter == pytest.approx(measurements.HOLE)
    assert plain == pytest.approx(1 - measurements.HOLE)


class TestStored:
    stored = measurements.stored_measurements()

    def test_three_seeds_learn(self):
        assert len(self.stored["seeds"]) == len(measurements.SEEDS)
        for run in self.stored["seeds"]:
            assert run[-1]["step"] == PLAN.steps
            assert run[-1]["sampled"] > 2 * run[0]["sampled"]

    def test_the_hole_is_found_and_sums_suffer(self):
        first, last = self.stored["hacking"][0], self.stored["hacking"][-1]
        assert last["chatter"] > first["chatter"] + 0.2
        assert last["greedy"] < first["greedy"] - 0.2

    def test_many_samples_find_a_right_answer_before_and_after(self):
        scaling = self.stored["scaling"]
        before, after = (scaling["measured"][name] for name in measurements.MODELS)
        assert before["pass@n"][0] < after["pass@n"][0]
        assert abs(before["pass@n"][-1] - after["pass@n"][-1]) < 0.1
        for lines in (before, after):
            assert all(vote <= passed for vote, passed in zip(
                lines["majority vote"], lines["pass@n"], strict=True))  # fmt: skip
