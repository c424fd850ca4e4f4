"""Graphs of CUDA, with a driver that is mocked, and the tape of a step's random draws."""

import contextlib
from unittest import mock

import pytest
import torch

from util.numerics import capturing

CPU = torch.device("cpu")


@pytest.fixture
def cuda(monkeypatch):
    """Mocks of torch.cuda; ``entered`` are the streams and graphs in the order in which they are entered."""
    fake = mock.Mock(entered=[])

    @contextlib.contextmanager
    def entering(*arguments, **named):
        fake.entered.append((*arguments, *named.items()))
        yield

    fake.graph.side_effect = fake.stream.side_effect = entering
    fake.graph_pool_handle.side_effect = iter(["first pool", "second pool"])
    fake.CUDAGraph.side_effect = lambda: mock.Mock()
    for name in ("graph", "stream", "Stream", "graph_pool_handle", "CUDAGraph", "current_stream", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    return fake


def test_a_function_is_captured_once_and_its_graph_replayed(cuda):
    graphs, calls = capturing.CudaGraphs(torch.device("cuda", 1)), []
    replay = graphs.capture(lambda: calls.append("captured") or "result")
    (entered,) = cuda.entered
    cuda.Stream.assert_called_once_with(torch.device("cuda", 1))
    graph, *settings = entered
    assert dict(settings) == {"pool": "first pool", "stream": graphs.stream, "capture_error_mode": "thread_local"}
    assert graph.replay.call_count == 0
    assert [replay(), replay()] == ["result", "result"]
    assert calls == ["captured"]
    assert graph.replay.call_count == 2


def test_graphs_share_a_pool_until_they_are_released(cuda):
    graphs = capturing.CudaGraphs(torch.device("cuda", 1))
    for _ in range(2):
        graphs.capture(lambda: None)
    graphs.release()
    graphs.capture(lambda: None)
    assert [dict(settings)["pool"] for _, *settings in cuda.entered] == ["first pool", "first pool", "second pool"]
    assert cuda.synchronize.called


def test_steps_that_are_not_captured_run_on_the_same_stream_and_in_order(cuda):
    graphs = capturing.CudaGraphs(torch.device("cuda", 1))
    current = cuda.current_stream.return_value
    with graphs.aside():
        assert cuda.entered == [(graphs.stream,)]
        graphs.stream.wait_stream.assert_called_once_with(current)
        assert not current.wait_stream.called
    current.wait_stream.assert_called_once_with(graphs.stream)


def numbers():
    made = iter(range(100))
    return lambda: torch.tensor([next(made)])


def test_a_draw_is_made_in_place_without_a_tape():
    assert capturing.drawn(numbers(), CPU) == 0


def test_a_tape_makes_the_draws_of_a_step_before_it_in_the_same_order():
    make, tape = numbers(), capturing.Tape()
    with tape.recording():
        assert [int(capturing.drawn(make, CPU)) for _ in range(3)] == [0, 1, 2]
    tape.refill()
    for _ in range(2):  # a comparison reads them twice
        with tape.reading():
            read = [capturing.drawn(make, CPU) for _ in range(3)]
        assert [int(each) for each in read] == [3, 4, 5]
    tape.refill()
    assert [int(each) for each in read] == [6, 7, 8]  # in the same tensors
    assert int(capturing.drawn(make, CPU)) == 9


def test_seeds_between_draws_are_set_before_the_same_draws_and_in_the_step():
    generator, tape, seeds = torch.Generator(), capturing.Tape(), iter((1, 2, 3, 4))

    def draw():
        return capturing.drawn(lambda: torch.rand(1, generator=generator), CPU).clone()

    def step(of_first, of_second):
        capturing.seeded(lambda: generator.manual_seed(of_first()))
        draws = [draw(), draw()]
        capturing.seeded(lambda: generator.manual_seed(of_second()))
        return [*draws, draw()]

    expected = step(lambda: 1, lambda: 2) + step(lambda: 3, lambda: 4)
    with tape.recording():
        found = step(seeds.__next__, seeds.__next__)
    tape.refill()
    with tape.reading():
        found += step(lambda: 8, lambda: 9)  # of use only for draws that are not on the tape
    assert found == expected
    assert generator.initial_seed() == 9


def test_more_draws_than_recorded_are_an_error():
    make, tape = numbers(), capturing.Tape()
    with tape.recording():
        capturing.drawn(make, CPU)
    with tape.reading(), pytest.raises(RuntimeError, match="more random draws"):
        [capturing.drawn(make, CPU) for _ in range(2)]
    assert int(capturing.drawn(make, CPU)) == 1  # the tape has ended


def test_a_step_may_refuse_to_be_captured():
    tape = capturing.Tape()
    capturing.refuse()
    with tape.recording():
        capturing.refuse()
    assert tape.refused
    with tape.recording():
        pass
    assert not tape.refused
