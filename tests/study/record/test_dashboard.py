"""The dashboard and the checklist in a notebook."""

import pytest

from course_lib.study.chapter_parts import all_abilities
from course_lib.study.record import dashboard, progress

ABILITIES = all_abilities()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    return progress.store()


def test_the_dashboard_says_what_is_recorded_and_what_to_repeat(home, capsys):
    dashboard.dashboard()
    assert capsys.readouterr().out == (
        "figure: Nothing is recorded yet: no exercise passed, no question answered\n"
        "What to repeat next:\n  Nothing is recorded that could be repeated.\n"
    )
    home.record_exercise("softmax.stable", "passed")
    home.record_question("softmax.shift", False)
    dashboard.dashboard()
    said = capsys.readouterr().out
    assert "Recorded: 1 of" in said
    assert "  1 missed question comes back: softmax.shift.\n" in said


def test_the_checklist_names_every_ability_with_its_evidence(home):
    home.record_exercise("softmax.temperature", "passed")
    home.record_question("softmax.temperature", True)
    home.record_question("softmax.cold", True)
    found = dashboard.checklist()
    data = found._repr_mimebundle_()
    assert data["text/plain"] == str(found)
    for ability in ABILITIES:
        assert f"] {ability.text}: " in str(found)
    assert str(found).count("[x]") == 1
    line = next(line for line in str(found).split("\n") if "[x]" in line)
    assert "change the temperature" in line
    assert line.endswith(": shown, exercises 1 of 1, questions 2 of 2")
    html = data["text/html"]
    assert html.count("<td>✓ shown</td>") == html.count("✓") == 1
    assert (
        html.count("<tr>") == html.count("</tr>") == len(ABILITIES) + 1 + html.count('colspan="4"')
    )
    assert "style" not in html.replace("<code style", ""), "the notebook's own table, dark or light"


def test_a_store_that_cannot_be_written_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    dashboard.dashboard()
    assert "Progress cannot be written to" in capsys.readouterr().out
