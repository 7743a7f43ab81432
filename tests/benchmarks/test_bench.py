"""benchmarks/bench.py: the table that it prints and writes; nothing is measured."""
import argparse
import csv
import sys

import bare_graphs
import bench
import pytest

from fcn.network import builder
from TensorflowUtils import tf

SECONDS = {'train': 0.5, 'bare_train': 0.45, 'train_ratio': 0.91, 'test': 0.1, 'bare_test': 0.09, 'photos': 0.125,
           'photos_one_core': 0.25, 'bare_one_core': 0.2, 'bare_predict': 0.16, 'first': 7.04, 'start': 6.96}
FIGURES = dict(SECONDS, peak=1.812, bare_predict_gflop=40.0, bare_test_gflop=9.0)


def test_rows_are_rates_and_shares():
    rows = list(bench.rows_of(dict(FIGURES, pytorch_train=1.0, pytorch_lean_train=0.8), 500.0, {'head': 'scores, 21'}))
    assert [row['what'] for row in rows] == ['train', 'test', 'photos', 'photos, 1 core', 'predict']
    assert rows[0] == {'what': 'train', 'head': 'scores, 21', 'program': '16.00', 'bare_graph': '17.78',
                       'ratio': '0.91', 'of_ceiling': '0.53', 'start_s': '7.0', 'peak_gb': '1.81', 'pytorch': '8.00',
                       'pytorch_lean': '10.00', 'unit': 'images/s'}
    assert rows[1]['program'] == '10.00' and rows[1]['ratio'] == '0.90' and rows[1]['of_ceiling'] == '0.20'
    assert rows[1]['start_s'] == '7.0' and 'peak_gb' not in rows[1]
    assert rows[3]['program'] == '4.00' and rows[3]['ratio'] == '0.80'
    assert rows[4]['bare_graph'] == '50.00' and rows[4]['of_ceiling'] == '0.50' and 'program' not in rows[4]


def test_a_table_is_aligned():
    assert bench.markdown([['what', 'rate'], ['train', '9.5'], ['test', '16.15'], ['none', '']]).split('\n') == [
        '| what  | rate  |', '| ----- | ----- |', '| train |   9.5 |', '| test  | 16.15 |', '| none  |       |']


@pytest.mark.parametrize('others, width', [([], 100), (['--pytorch=PYTHON', '--original=PYTHON'], 130)])
def test_the_table_fits_a_screen_and_is_written(monkeypatch, capsys, tmp_path, others, width):
    def measure(arguments, _):
        yield {'what': 'matrix products 2048×2048', 'program': '463', 'unit': 'GFLOP/s'}
        for precision in ('float32', 'mixed'):
            for head in ('scores, 21', 'scores, 151', 'features, 21', 'features, 151'):
                figures = dict(FIGURES, pytorch_train=1.0) if head == 'scores, 21' else {
                    key: value for key, value in FIGURES.items() if 'photos' not in key}
                yield from bench.rows_of(figures, 500.0, {'head': head, 'precision': precision})
    path = tmp_path / 'new' / 'bench.csv'
    monkeypatch.setattr(bench, 'measure', measure)
    machine = {'machine': 'Some CPU', 'cores': '2', 'torch': '2.13'}
    monkeypatch.setattr(bench, 'describe_machine', lambda pytorch: machine)
    monkeypatch.setattr(sys, 'argv', ['bench.py', f'--out={path}'] + others)
    bench.main()
    lines = capsys.readouterr().out.split('\n')
    assert lines[0] == 'Some CPU, 2 cores, torch 2.13'
    table = [line for line in lines if line.startswith('|')]
    assert len({len(line) for line in table}) == 1 and max(map(len, lines)) <= width and len(lines) <= 40
    with open(str(path), newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + len(table) - 2
    assert rows[1]['pytorch'] == '8.00' and rows[1]['torch'] == '2.13'  # the rate and the version
    assert rows[0]['program'] == '463' and rows[0]['machine'] == 'Some CPU' and rows[-1]['head'] == 'features, 151'


def have_gpus(monkeypatch, *names):
    devices = [argparse.Namespace(name=f'/physical_device:GPU:{number}', device_type='GPU')
               for number, _ in enumerate(names)]
    named = {device.name: {'device_name': name} for device, name in zip(devices, names) if name}
    monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind=None: devices)
    monkeypatch.setattr(tf.config.experimental, 'get_device_details', lambda device: named.get(device.name, {}),
                        raising=False)


def test_gpus_are_named_and_not_compared_with_pytorch_on_cpus(monkeypatch, capsys):
    have_gpus(monkeypatch)
    assert 'gpus' not in bench.describe_machine()
    have_gpus(monkeypatch, 'Some GPU', None)
    machine = bench.describe_machine()
    assert machine['gpus'] == 'Some GPU, GPU:1' and ', Some GPU, GPU:1' in bench.machine_line(machine)
    monkeypatch.setattr(bench, 'measure', lambda *_: pytest.fail('measured'))
    monkeypatch.setattr(sys, 'argv', ['bench.py', '--pytorch=PYTHON'])
    with pytest.raises(SystemExit) as end:
        bench.main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count('\n') == 1 and 'TensorFlow on Some GPU' in error


def test_work_is_that_of_predictions_in_float32(monkeypatch):
    """Neither what the prediction does not need is counted, nor the padded products of bfloat16."""
    def build(images, config, is_training):
        kernel = tf.zeros([3, 3, 3, config.num_classes * (2 if config.in_bfloat16 else 1)])
        predictions = [tf.nn.conv2d(tf.cast(images, tf.float32), kernel, [1, 1, 1, 1], 'SAME') for _ in range(2)]
        assert config.fold_batch_norm and not is_training
        return predictions[1], None, None
    monkeypatch.setattr(builder, 'build', build)
    assert bare_graphs.forward_gflop('scores', 5, [2, 40, 30]) == 2 * (2 * 40 * 30) * (3 * 3 * 3) * 5 / 1e9


def test_what_was_not_asked_for_has_no_column():
    def shown(**given):
        return [name for name, _, _ in bench.columns_of(argparse.Namespace(**dict({'pytorch': None, 'original': None},
                                                                                  **given)))]
    assert shown()[-1] == 'peak_gb' and shown(original='PYTHON')[-1] == 'original'
    assert shown(pytorch='PYTHON')[-2:] == ['pytorch', 'pytorch_lean']
