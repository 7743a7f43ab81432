"""fcn/training/log.py: what has no value is not written as a number."""
import glob
import json

import pytest

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
