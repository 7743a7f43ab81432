"""fcn/inference/metrics.py: figures worked out by hand."""
import json

import numpy as np
import pytest

from fcn.inference import metrics

NAMES = ['sky', 'cat', 'dog']
# Rows annotated, columns predicted: 6 pixels of sky (4 right), 3 of cat (2 right), 1 of dog (right).
CONFUSION = [[4, 1, 1],
             [1, 2, 0],
             [0, 0, 1]]
# IoU = right / (annotated + predicted - right): predicted are 5, 3 and 2.
IOU = [4 / (6 + 5 - 4), 2 / (3 + 3 - 2), 1 / (1 + 2 - 1)]  # 4/7, 1/2, 1/2
ACCURACY = [4 / 6, 2 / 3, 1 / 1]
METRICS = {'pixel_accuracy': 7 / 10,
           'mean_accuracy': (4 / 6 + 2 / 3 + 1) / 3,
           'mean_iou': (4 / 7 + 1 / 2 + 1 / 2) / 3,
           'frequency_weighted_iou': (6 * 4 / 7 + 3 * 1 / 2 + 1 * 1 / 2) / 10}


def pixels(confusion):
    """Annotation and prediction, int [N], that have this confusion matrix, in no particular order."""
    pairs = [(row, column) for row, counts in enumerate(confusion) for column, count in enumerate(counts)
             for _ in range(count)]
    return np.array(pairs)[np.random.RandomState(0).permutation(len(pairs))].T


def figures(result):
    return {name: result[name] for name in metrics.METRICS}


def column(result, key):
    return [one[key] for one in result['classes']]


# ---- confusion matrix

def test_confusion_matrix_of_three_classes():
    annotation, prediction = pixels(CONFUSION)
    counted = metrics.confusion_matrix(annotation, prediction, 3)
    assert counted.dtype == 'int64'
    np.testing.assert_array_equal(counted, CONFUSION)


@pytest.mark.parametrize('kind', ['uint8', 'int32', 'int64'])
def test_shape_and_type_of_the_labels_do_not_matter(kind):
    annotation, prediction = pixels(CONFUSION).astype(kind)
    counted = metrics.confusion_matrix(annotation.reshape(1, 5, 2), prediction.reshape(1, 5, 2), 3)
    np.testing.assert_array_equal(counted, CONFUSION)


def test_many_classes_do_not_overflow_small_integers():
    labels = np.full((2, 2), 150, 'uint8')
    counted = metrics.confusion_matrix(labels, labels - 1, 151)
    assert counted.shape == (151, 151) and counted[150, 149] == 4 == counted.sum()


@pytest.mark.parametrize('ignored', [255, 1])
def test_ignored_pixels_count_nowhere(ignored):
    """Whatever is predicted there; also where the ignored label is itself a class."""
    annotation, prediction = pixels([[4, 1, 1], [0, 0, 0], [0, 0, 1]])
    annotation = np.append(annotation, [ignored] * 4)
    prediction = np.append(prediction, [0, 1, 2, 2])
    counted = metrics.confusion_matrix(annotation, prediction, 3, ignored)
    np.testing.assert_array_equal(counted, [[4, 1, 1], [0, 0, 0], [0, 0, 1]])


def test_all_pixels_ignored():
    counted = metrics.confusion_matrix(np.full((3, 3), 255), np.zeros((3, 3), int), 3, 255)
    np.testing.assert_array_equal(counted, np.zeros((3, 3)))


def test_matrices_of_parts_sum_to_that_of_the_whole():
    annotation, prediction = pixels(CONFUSION)
    parts = [metrics.confusion_matrix(annotation[part], prediction[part], 3) for part in (np.s_[:4], np.s_[4:])]
    np.testing.assert_array_equal(sum(parts), CONFUSION)


@pytest.mark.parametrize('annotation, prediction, words', [
    ([0, 1, 2], [0, 1], r'annotation is \(3,\), but prediction is \(2,\)'),
    ([[0], [1]], [[0, 1]], r'annotation is \(2, 1\)'),
    ([0, 3], [0, 1], 'the annotation holds labels 0 to 3, but there are 3 classes'),
    ([0, -1], [0, 1], 'the annotation holds labels -1 to 0'),
    ([0, 1], [0, 3], 'the prediction holds labels 0 to 3'),
    ([0, 254], [0, 1], 'the annotation holds labels 0 to 254')])
def test_bad_labels_and_shapes_raise(annotation, prediction, words):
    with pytest.raises(ValueError, match=words):
        metrics.confusion_matrix(annotation, prediction, 3, 255)


# ---- scores

def test_scores_worked_out_by_hand():
    result = metrics.compute(CONFUSION, NAMES, images=2)
    assert figures(result) == pytest.approx(METRICS)
    assert column(result, 'name') == NAMES and column(result, 'pixels') == [6, 3, 1] and result['images'] == 2
    assert column(result, 'iou') == pytest.approx(IOU) and column(result, 'accuracy') == pytest.approx(ACCURACY)


def test_oracle_scores_one():
    annotation = np.random.RandomState(0).randint(0, 3, (7, 9))
    result = metrics.compute(metrics.confusion_matrix(annotation, annotation, 3), NAMES, 1)
    assert set(figures(result).values()) == {1.0}
    assert column(result, 'iou') == column(result, 'accuracy') == [1.0] * 3


def test_worst_prediction_scores_zero():
    result = metrics.compute([[0, 2], [3, 0]], NAMES[:2], 1)
    assert set(figures(result).values()) == {0.0} and column(result, 'iou') == [0.0] * 2


def test_absent_class_is_not_available_and_leaves_the_means():
    """A class without annotated pixels: predicted once, it costs the class that it was predicted for, not the mean."""
    result = metrics.compute([[4, 0, 1], [1, 2, 0], [0, 0, 0]], NAMES, 1)
    assert column(result, 'iou') == [pytest.approx(4 / 6), pytest.approx(2 / 3), None]
    assert column(result, 'accuracy') == [pytest.approx(4 / 5), pytest.approx(2 / 3), None]
    assert column(result, 'pixels') == [5, 3, 0]
    assert figures(result) == pytest.approx({
        'pixel_accuracy': 6 / 8, 'mean_accuracy': (4 / 5 + 2 / 3) / 2, 'mean_iou': (4 / 6 + 2 / 3) / 2,
        'frequency_weighted_iou': (5 * 4 / 6 + 3 * 2 / 3) / 8})


def test_nothing_annotated_gives_no_figure():
    result = metrics.compute(np.zeros((3, 3), int), NAMES, 1, 255)
    assert set(figures(result).values()) == {None}
    assert column(result, 'iou') == column(result, 'accuracy') == [None] * 3 and column(result, 'pixels') == [0] * 3


def test_ignored_class_is_left_out_of_the_table():
    """The rule of ADE20K's benchmark: label 0, 'other', is not counted, nor is it a row; to predict it is wrong."""
    annotation, prediction = np.array([0, 0, 1, 1, 1, 2]), np.array([1, 0, 1, 1, 0, 2])
    result = metrics.compute(metrics.confusion_matrix(annotation, prediction, 3, 0), ['other', 'wall', 'sky'], 1, 0)
    assert column(result, 'name') == ['wall', 'sky'] and column(result, 'iou') == [pytest.approx(2 / 3), 1.0]
    assert figures(result) == pytest.approx({
        'pixel_accuracy': 3 / 4, 'mean_accuracy': (2 / 3 + 1) / 2, 'mean_iou': (2 / 3 + 1) / 2,
        'frequency_weighted_iou': (3 * 2 / 3 + 1 * 1) / 4})


def test_several_ignored_classes_are_left_out_of_the_table():
    """Pixels of all of them have the label of one; scores are as with that one ignored alone."""
    confusion, names = np.array([[0, 0, 0], [0, 0, 0], [1, 2, 7]]), ['void', 'unlabelled', 'road']
    result = metrics.compute(confusion, names, 1, 0, [0, 1])
    assert column(result, 'name') == ['road'] and column(result, 'iou') == [0.7]
    assert figures(result) == figures(metrics.compute(confusion, names, 1, 0))


def test_counts_of_a_whole_data_set_are_exact():
    result = metrics.compute([[3 * 10 ** 11, 0], [1, 0]], NAMES[:2], 20210)
    assert column(result, 'pixels') == [3 * 10 ** 11, 1] and 0.999999 < result['pixel_accuracy'] < 1


# ---- files

def test_metrics_txt_holds_the_originals_four_lines(tmp_path):
    paths = metrics.write(metrics.compute(CONFUSION, NAMES, 2), str(tmp_path / 'new' / 'folder'))
    assert paths == [str(tmp_path / 'new' / 'folder' / name) for name in ('metrics.txt', 'metrics.json')]
    with open(paths[0]) as file:
        assert file.read() == ('Pixel accuracy: 0.7000\nMean accuracy: 0.7778\nMean IU: 0.5238\n'
                               'Frequency weighted IU: 0.5429\n')


def test_metrics_json_gives_back_what_was_written(tmp_path):
    result = metrics.compute([[4, 0, 1], [1, 2, 0], [0, 0, 0]], ['sky', 'é "x"', 'dog'], 2)
    with open(metrics.write(result, str(tmp_path))[1], encoding='utf-8') as file:
        text = file.read()
    assert json.loads(text) == result
    assert set(result) == {'pixel_accuracy', 'mean_accuracy', 'mean_iou', 'frequency_weighted_iou', 'images', 'classes'}
    assert all(set(one) == {'name', 'iou', 'accuracy', 'pixels'} for one in result['classes'])
    assert 'null' in text and 'NaN' not in text


def test_no_figure_is_written_as_not_available(tmp_path):
    paths = metrics.write(metrics.compute(np.zeros((3, 3)), NAMES, 0), str(tmp_path))
    with open(paths[0]) as file:
        assert file.read() == 'Pixel accuracy: n/a\nMean accuracy: n/a\nMean IU: n/a\nFrequency weighted IU: n/a\n'
    with open(paths[1]) as file:
        assert json.load(file)['mean_iou'] is None


def test_table():
    lines = metrics.table_lines(metrics.compute([[4, 0, 1], [1, 2, 0], [0, 0, 0]], ['sky', 'dining table', 'dog'], 1))
    assert [line.split() for line in lines] == [
        ['class', 'IoU', 'accuracy', 'share'], ['sky', '0.667', '0.800', '62.5%'],
        ['dining', 'table', '0.667', '0.667', '37.5%'], ['dog', 'n/a', 'n/a', '0.0%']]
    assert len({len(line) for line in lines}) == 1, 'columns are aligned'


def test_collapse_is_told():
    assert metrics.collapsed_to([[40, 0], [60, 0]]) == 0
    assert metrics.collapsed_to([[0, 99990], [10, 100000]]) == 1
    assert metrics.collapsed_to([[40, 0], [59, 1]]) is None
    assert metrics.collapsed_to([[9900, 0], [100, 0]]) == 0, 'nearly all of it is that class, and the rest is lost'
    assert metrics.collapsed_to([[9990, 0], [7, 3]]) is None, 'some of the rest is found'
    assert metrics.collapsed_to([[9999, 0], [1, 0]]) is None, 'there is next to nothing else'
    assert metrics.collapsed_to(np.zeros((3, 3))) is None
