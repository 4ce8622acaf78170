"""What `course test` adds to pytest: it leaves out what passed, and records what passes now.

Nothing of the course is imported here before pytest has begun, since its types would not be
checked then.
"""

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

RECORD = "COURSE_TEST_RECORD"
SLOWNESS = "COURSE_TEST_SLOWNESS"
LEFT_OUT = "COURSE_TEST_LEFT_OUT"
BEGAN = pytest.StashKey[float]()
IN_BROWSER = "tests/browser/"


def processor_seconds() -> float:
    """Return the time of this process and of those that it has seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def left_out() -> frozenset[str]:
    """Return the units that are not to run."""
    path = os.environ.get(LEFT_OUT)
    return frozenset(Path(path).read_text(encoding="utf-8").splitlines() if path else ())


def pytest_configure(config):
    config.pluginmanager.register(Suite(config), "course-suite")


class Suite:
    """The hooks, with what they need to know of the run."""

    def __init__(self, config):
        self.root = config.rootpath
        self.left_out = left_out()
        self.is_worker = hasattr(config, "workerinput")
        self.expected, self.ended = Counter(), Counter()
        self.seconds = defaultdict(float)
        self.failed = set()

    def pytest_ignore_collect(self, collection_path):
        inside = collection_path.is_relative_to(self.root)
        if inside and collection_path.relative_to(self.root).as_posix() in self.left_out:
            return True
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        """Put the longest first, drop single tests that passed, and stretch the limits."""
        from course_lib.authoring import suite_record
        from course_lib.authoring.machine_speed import patience

        unit = {item: suite_record.unit_of(item.nodeid) for item in items}
        gone = [item for item in items if unit[item] in self.left_out]
        if gone:
            config.hook.pytest_deselected(items=gone)
        known = suite_record.read_seconds(self.root / suite_record.STORED)
        order = {each: -known.get(each, suite_record.USUAL) for each in unit.values()}
        items[:] = [item for item in items if unit[item] not in self.left_out]
        items.sort(key=lambda item: (order[unit[item]], unit[item]))
        for item in items:
            marker = item.get_closest_marker("timeout")
            limit = float(marker.args[0] if marker else config.getini("timeout") or 0)
            item.add_marker(pytest.mark.timeout(limit * patience()), append=False)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config, log):
        """Give each process one unit after the other, the longest first."""
        from xdist.scheduler import LoadFileScheduling

        from course_lib.authoring.suite_record import unit_of

        class ByUnit(LoadFileScheduling):
            def _split_scope(self, nodeid):
                return unit_of(nodeid)

        return ByUnit(config, log) if config.getoption("dist") == "loadfile" else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self._expect(ids)

    def pytest_collection_finish(self, session):
        self._expect([item.nodeid for item in session.items])

    def _expect(self, tests):
        from course_lib.authoring.suite_record import unit_of

        self.expected = Counter(map(unit_of, tests)) or self.expected

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        item.stash[BEGAN] = processor_seconds()
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        if call.when == "teardown":
            item.user_properties.append(("cpu", processor_seconds() - item.stash[BEGAN]))

    def pytest_runtest_logreport(self, report):
        """Note a unit once the last of its tests has ended and none has failed."""
        from course_lib.authoring.suite_record import note, unit_of

        unit = unit_of(report.nodeid)
        if report.failed:
            self.failed.add(unit)
        in_browser = unit.startswith(IN_BROWSER)  # much of the work is a server's, or waiting
        if in_browser:
            self.seconds[unit] += report.duration / float(os.environ.get(SLOWNESS, "1"))
        if report.when != "teardown":
            return
        if not in_browser:
            times = (value for name, value in report.user_properties if name == "cpu")
            self.seconds[unit] += sum(times)  # its own, and what it says of processes elsewhere
        self.ended[unit] += 1
        whole = self.ended[unit] == self.expected[unit] and unit not in self.failed
        if whole and not self.is_worker and RECORD in os.environ:
            note(Path(os.environ[RECORD]), unit, self.seconds[unit])
