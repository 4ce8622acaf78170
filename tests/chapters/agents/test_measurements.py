"""What is stored of two seeds is what the notebook says of them."""

from course_lib.chapters.agents import measurements
from course_lib.chapters.agents.measurements import COUNT, SEEDS, stored_measurements

RESULTS = stored_measurements()


def test_every_seed_ran_to_the_end_and_was_measured_on_the_same_tasks():
    assert list(RESULTS["seeds"]) == [str(seed) for seed in SEEDS]
    for found in RESULTS["seeds"].values():
        assert found["log"][-1]["step"] == 600
        assert list(found["tools"]) == list(RESULTS["tools"]["assistant-tools"])
        assert list(found["calls"]) == list(RESULTS["calls"])


def test_asking_is_learned_with_every_seed_and_copying_is_not():
    runs = [RESULTS["calls"], *(found["calls"] for found in RESULTS["seeds"].values())]
    for calls in runs:
        assert calls["product 3x3"]["right call"] == 1
        assert calls["product 4x4"]["right call"] > 0.9
        assert calls["product 4x4"]["right answer"] < 0.3
        assert calls["product 5x5"]["right call"] == 0
    answers = [calls["product 3x3"]["right answer"] for calls in runs]
    assert max(answers) > 0.9
    assert min(answers) < 0.5


def test_another_seed_is_trained_to_the_end_before_it_is_measured(monkeypatch, tmp_path):
    class Run:
        def __init__(self, stage, folder, seed):
            self.records, self.model, self.made = [], folder.name, (stage.name, folder, seed)

        def go_on(self):
            self.records.append({"step": 600})

        def shares(self, count):
            return {"trained": len(self.records), "count": count, "made": self.made}

    monkeypatch.setattr(measurements, "ToolRun", Run)
    monkeypatch.setattr(measurements, "_calls_of", lambda model: {"model": model})
    made = ("assistant-tools", tmp_path / "tools-1", 1)
    assert measurements.measure_seeds(tmp_path) == {
        "1": {
            "log": [{"step": 600}],
            "tools": {"trained": 1, "count": COUNT, "made": made},
            "calls": {"model": "tools-1"},
        }
    }
