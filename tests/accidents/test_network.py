"""Run All without any network: nothing is missed, and nothing was even asked for."""

import pytest


@pytest.mark.parametrize("name", ["00_start_here", "11_training"])
def test_a_notebook_runs_without_a_network_and_asks_for_none(machine, name):
    machine.cut_off()
    machine.hurry()
    run = machine.run_all(machine.notebooks / f"{name}.ipynb")
    assert run.spoilt("no such sentence") == []
    assert machine.attempts() == ""


def test_without_a_network_the_kernel_has_none(machine):
    """The control: what would ask for something is refused, and found out."""
    machine.cut_off()
    asks = "import urllib.request\nurllib.request.urlopen('http://example.org')"
    local = "import socket\nsocket.create_server(('localhost', 0)).close()\nprint('local')"
    refused, works = machine.run_cells(asks, local)
    assert "Network is unreachable" in machine.shown(refused)
    assert machine.attempts() == "example.org\n"
    assert machine.shown(works) == "local\n"
