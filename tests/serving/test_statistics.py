"""What the engine counts, beside counts made by hand."""

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from course_lib.model import ModelConfig, build_model
from course_lib.serving import Engine, Request, generate_all
from course_lib.serving.statistics import Histogram, snapshot


@pytest.fixture
def engine():
    torch.manual_seed(0)
    model = build_model(ModelConfig(61, 24, 40, 2, 4, 2, 6, 64)).eval().requires_grad_(False)
    times = iter(range(1000))
    return Engine(model, num_blocks=20, block_size=4, clock=lambda: float(next(times)))


def test_a_histogram_counts_up_to_each_bound():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    assert histogram.lines("x") == [
        'x_bucket{le="1.0"} 2',
        'x_bucket{le="2.0"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 12.000000",
        "x_count 4",
    ]


def test_counts_and_times(engine):
    generate_all(engine, [Request((1, 2, 3), 4), Request((4, 5, 6, 7, 8), 2)])
    again = engine.add(Request((4, 5, 6, 7, 8), 3))
    engine.step()
    engine.cancel(again)
    found = engine.statistics
    assert found.requests == 3
    assert found.generated == 4 + 2 + 1
    assert found.cached_tokens == 4
    assert found.computed == 3 + 3 + 5 + 1 + 1
    assert dict(found.finished) == {"length": 2, "cancelled": 1}
    assert found.steps == 5
    assert sum(found.first_tokens.counts) == 3


def test_prometheus_reads_what_is_written(engine):
    engine.add(Request((1, 2, 3, 4, 5), 9))
    engine.add(Request((1, 2), 1))
    engine.step()
    text = engine.statistics.prometheus(engine.scheduler)
    families = {each.name: each for each in text_string_to_metric_families(text)}
    values = {name: each.samples[0].value for name, each in families.items()}
    assert values["course_requests_running"] == 1
    assert values["course_blocks_free"] == 18
    assert values["course_tokens_generated"] == 2
    (ended,) = families["course_requests_finished"].samples
    assert (ended.labels, ended.value) == ({"reason": "length"}, 1)
    assert all(each.documentation for each in families.values())


def test_a_snapshot_shows_requests_and_blocks_but_no_text(engine):
    job = engine.add(Request((1, 2, 3, 4, 5), 9))
    engine.step()
    found = snapshot(engine)
    (running,) = found["running"]
    assert running["blocks"] == job.table
    assert (running["prompt"], running["new"], running["limit"]) == (5, 1, 9)
    assert found["references"] == engine.blocks.references
    assert "tokens" not in running
    assert found["steps"] == [[1, 5]]
