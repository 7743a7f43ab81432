"""fcn/reporting/outputs.py: which images are shown; what visualize writes is tested with whole runs and photos."""
from fcn.data.datasets import record
from fcn.reporting.outputs import with_best_and_worst


def test_best_and_worst_are_added_once():
    records = [record(name + '.jpg', name + '.png') for name in 'abcdefg']
    scores = [(name, 0.5, mean_iou) for name, mean_iou in zip('abcdefg', (0.7, 0.1, 0.4, 0.9, 0.5, 0.2, None))]
    shown = with_best_and_worst(records[:1], records, scores, count=2)
    assert [one['filename'] for one in shown] == ['a', 'b', 'd', 'f']
