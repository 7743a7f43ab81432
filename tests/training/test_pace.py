"""fcn/training/pace.py, and that a training log prints what it says; seconds are given, not measured."""
import pytest

from fcn.training import log
from fcn.training.log import TrainingLog
from fcn.training.pace import Pace
from TensorflowUtils import tf


def lines(pace, seconds):
    """Returns {number of the step: line} of what is said."""
    said = {step: pace.add(one) for step, one in enumerate(seconds, 1)}
    return {step: line for step, line in said.items() if line}


@pytest.mark.parametrize('measured, ratio, fitting', [
    (2.0, 2, 500), (0.5, 0.5, 2000), (1.4, 1.4, 714), (0.6, 0.6, 1667)])
def test_steps_that_take_a_third_more_or_less_are_said_once(measured, ratio, fitting):
    said = lines(Pace(1.0, 0, 1000), [30.0, 5.0] + [measured] * 500)
    line, = said.values()
    assert f'a step takes {measured:.2g} s, not 1 as planned, so that 1000 steps take {ratio:.2g} times as long' in line
    assert f'--max_iterations={fitting} would' in line
    step, = said
    assert (step - 3) * measured < 60 <= (step - 2) * measured + 1e-6, 'a minute of steps, without the first two'


@pytest.mark.parametrize('planned, measured', [(1.0, 1.3), (1.0, 0.7), (1.0, 1.0), (0, 9.0)])
def test_nothing_is_said_where_the_plan_holds_or_there_is_none(planned, measured):
    assert lines(Pace(planned, 0, 1000), [30.0, 5.0] + [measured] * 500) == {}


def test_short_runs():
    assert list(lines(Pace(1.0, 0, 60), [2.0] * 60)) == [30], 'half-way, where that is less than a minute'
    assert lines(Pace(1.0, 0, 5), [9.0] * 5) == {}, 'too few to tell'
    assert list(lines(Pace(1.0, 900, 1000), [0.1] * 100)) == [50], 'of a run that goes on'
    line, = lines(Pace(1.0, 900, 1000), [2.0] * 100).values()
    assert '2 times as long' in line and '--max_iterations' not in line, 'the run is beyond these'


def test_the_log_prints_it(tmp_path, capsys, monkeypatch):
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(log.time, 'perf_counter', lambda: next(clock))
    kept = TrainingLog(str(tmp_path), 0, 100, tf.Graph(), {}, pace=Pace(1.0, 0, 100))
    for _ in range(20):
        with kept.timing(2):
            pass
    kept.close()
    assert capsys.readouterr().out.count('note: a step takes 5 s, not 1 as planned') == 1
