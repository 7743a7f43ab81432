"""fcn/training/log.py: what has no value is not written as a number."""
import glob
import json
import time

import pytest

from fcn.reporting.result_files import read_progress
from fcn.runs import checkpoints
from fcn.training.log import TrainingLog
from TensorflowUtils import tf


def scalars_of(folder):
    """{tag: value} of a TensorBoard run."""
    found = {}
    for path in glob.glob(str(folder / '*')):
        for event in tf.train.summary_iterator(path):
            found.update((value.tag, value.simple_value) for value in event.summary.value)
    return found


@pytest.mark.parametrize('loss, mean_iou, said', [
    (None, None, 'validation n/a'), (0.5, 0.25, 'validation mean_iou 0.2500, pixelwise_loss 0.5000')])
def test_validation_without_a_labelled_pixel(tmp_path, capsys, loss, mean_iou, said):
    log = TrainingLog(str(tmp_path), 0, 10, tf.Graph(), {})
    best = log.write({'step': 1, 'loss': 2.0, 'learning_rate': 0.1, 'validation_loss': loss,
                      'validation_mean_iou': mean_iou})
    log.close()
    assert best == (mean_iou is not None)
    line = json.loads((tmp_path / 'progress.jsonl').read_text())
    assert (line['validation_loss'], line['validation_mean_iou']) == (loss, mean_iou)
    assert said in capsys.readouterr().out
    expected = {} if loss is None else {'pixelwise_loss': loss, 'mean_iou': mean_iou}
    assert scalars_of(tmp_path / 'validation') == expected


def log_of(tmp_path, step=10):
    return TrainingLog(str(tmp_path), step, 10, tf.Graph(), {})


def values_of(step, **more):
    return dict({'step': step, 'loss': 2.0, 'learning_rate': 0.1}, **more)


def test_a_clock_that_is_set_back(tmp_path, monkeypatch):
    now = iter(range(10 ** 9, 0, -3600))
    log = log_of(tmp_path, 0)
    monkeypatch.setattr(time, 'time', lambda: next(now))
    with log.timing(4):
        pass
    log.write(values_of(1))
    log.close()
    line = json.loads((tmp_path / 'progress.jsonl').read_text())
    assert 0 <= line['seconds'] < 60 and line['images_per_s'] > 0


@pytest.mark.parametrize('loss', [float('nan'), float('inf')])
def test_validation_loss_that_is_not_finite(tmp_path, capsys, loss):
    log = log_of(tmp_path, 0)
    assert not log.write(values_of(1, validation_loss=loss, validation_mean_iou=0.9))
    assert log.write(values_of(2, validation_loss=1.0, validation_mean_iou=0.1)), 'the first that can be the best'
    log.close()
    lines = [json.loads(text, parse_constant=pytest.fail) for text in (tmp_path / 'progress.jsonl').open()]
    assert [line['validation_loss'] for line in lines] == [None, 1.0]
    assert 'the validation loss at step 1 is not finite' in capsys.readouterr().out
    (tmp_path / 'best').mkdir()
    (tmp_path / 'best' / 'model.ckpt-2.index').touch()
    assert log_of(tmp_path).best == (0.1, 2), 'to a resumed run'


@pytest.mark.parametrize('bad', [
    b'{"step": 2, "seconds": 5.0, "loss": "1\xff"}', b'\xff\xfe', b'{"step": "2", "seconds": 5.0}', b'7', b'[' * 9999,
    b'{"step": 2, "seconds": "x"}', b'{"step": 2, "seconds": 1e999}', b'{"step": true, "seconds": 5.0}', b'{}',
    b'{"step": 2, "seconds": 5.0, "loss": [1]}', b'{"step": 2, "seconds": 5.0, "validation_mean_iou": "high"}'])
def test_damaged_lines_are_dropped(tmp_path, capsys, bad):
    good = b'{"step": 1, "seconds": 3.0, "loss": 2.0}\n'
    (tmp_path / 'progress.jsonl').write_bytes(good + bad + b'\n' + b'{"step": 3, "seco')
    assert read_progress(str(tmp_path / 'progress.jsonl')) == [{'step': 1, 'seconds': 3.0, 'loss': 2.0}]
    log = log_of(tmp_path)
    assert log.seconds == 3 and (tmp_path / 'progress.jsonl').read_bytes() == good
    assert 'note: 1 lines of' in capsys.readouterr().out


def test_what_an_earlier_version_wrote_of_a_loss_that_is_not_finite(tmp_path):
    (tmp_path / 'progress.jsonl').write_text(
        '{"step": 1, "seconds": 3.0, "loss": 2.0, "validation_loss": NaN, "validation_mean_iou": 0.9}\n')
    line, = read_progress(str(tmp_path / 'progress.jsonl'))
    assert line['validation_loss'] is None and log_of(tmp_path).best is None


@pytest.mark.parametrize('step, best', [(10, (0.75, 8)), (7, None)])
def test_best_score_outlives_the_log(tmp_path, step, best):
    """But not that of a later step than the run goes on from, which comes again."""
    (tmp_path / 'best').mkdir()
    (tmp_path / 'best' / 'model.ckpt-8.index').touch()
    checkpoints.write_score(str(tmp_path / 'best'), 8, 0.75)
    log = log_of(tmp_path, step)
    worse = log.write(values_of(step + 1, validation_loss=0.5, validation_mean_iou=0.5))
    log.close()
    assert worse == (best is None) and log.best == (best or (0.5, step + 1))
