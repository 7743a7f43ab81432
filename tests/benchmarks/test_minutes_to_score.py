"""benchmarks/minutes_to_score.py: what it makes of a run's lines, and what it tells PyTorch; nothing is trained."""
import json
import os
import re
import subprocess
import sys

import minutes_to_score
import pytest
from absl.testing import flagsaver
from minutes_to_score import Validation, first_reaching, row_of, stamped, table, validations

import inception_FCN  # noqa: F401 (else its flags are taken out again where flags are restored)
from conftest import ROOT


def test_validations_take_what_is_not_training():
    progress = [{'step': step, 'seconds': 2.0 * step} for step in (10, 20, 30, 40)]
    progress[1]['validation_mean_iou'], progress[3]['validation_mean_iou'] = 0.6, 0.7
    found = validations(progress, {10: 30.0, 20: 62.0, 30: 82.0, 40: 130.0})  # 10 to start, 12 and 28 to validate
    assert found == [Validation(20, 0.6, 62 / 60, 50 / 60), Validation(40, 0.7, 130 / 60, 90 / 60)]


@pytest.mark.parametrize('score, step', [(0.5, 10), (0.6, 10), (0.65, 30), (0.7, 30), (0.71, None)])
def test_the_first_validation_that_reaches_a_score(score, step):
    found = [Validation(step, measured, step, step) for step, measured in ((10, 0.6), (20, 0.55), (30, 0.7), (40, 0.7))]
    reached = first_reaching(found, score)
    assert (reached and reached.step) == step


def test_medians_of_the_seeds_and_their_ratio():
    def row(side, seed, minutes, last):
        return row_of(side, seed, [Validation(500, 0.6, 2.0, 1.5), Validation(1000, last, minutes, minutes - 1)], 0.72,
                      [0.5, 0.65, 0.7])
    rows = [row('ours', 0, 4.0, 0.66), row('ours', 1, 5.0, 0.7), row('ours', 2, 6.0, 0.6),
            row('pytorch', 0, 10.0, 0.68), row('pytorch', 1, 12.0, 0.64), row('pytorch', 2, 11.0, 0.69)]
    assert rows[0]['minutes_to_0.5'] == 2 and rows[0]['minutes_to_0.65'] == 4 and rows[0]['minutes_to_0.7'] == ''
    lines = table(rows, [0.5, 0.65, 0.7]).split('\n')
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells[0] == ['minutes to a mean IoU of', 'seeds', '0.5', '0.65', '0.7', 'the end', 'best', 'tested']
    assert cells[2:] == [
        # a run that never reached a score took longer than any
        ['this program', '3', '2.00', '5.00', '-', '5.00', '0.660', '0.720'],
        ['PyTorch', '3', '2.00', '11.00', '-', '11.00', '0.680', '0.720'],
        ['ratio', '', '1.00', '0.45', '-', '0.45', '', ''],
        ['this program, without validation', '3', '1.50', '4.00', '-', '4.00', '', ''],
        ['PyTorch, without validation', '3', '1.50', '10.00', '-', '10.00', '', ''],
        ['ratio, without validation', '', '1.00', '0.40', '-', '0.40', '', '']]


def test_lines_of_steps_are_stamped_as_they_come():
    program = 'print("note"); print("step 10 of 20: loss 1"); print("step 20 of 20: loss 1, validation mean_iou 0.5")'
    seconds = stamped([sys.executable, '-c', program], 0.0)
    assert list(seconds) == [10, 20] and seconds[10] <= seconds[20]
    with pytest.raises(SystemExit, match='no data'):
        stamped([sys.executable, '-c', 'raise SystemExit("no data")'], 0.0)


@pytest.mark.parametrize('more, refused', [
    ([], []), (['--learning_rate=0.001', '--warm_up=50', '--skip_layers=8s', '--checkpoint_every=500'], []),
    (['--optimizer=momentum'], ['optimizer']), (['--noaugment', '--skip_layers=16s'], ['augment', 'skip_layers']),
    (['--freeze_batch_norm'], ['freeze_batch_norm'])])
def test_flags_that_pytorch_cannot_follow_are_found(more, refused):
    with flagsaver.flagsaver():
        values = minutes_to_score.parsed(['--flagfile=flags/fine_tune.flags', '--seed=2'] + more)
        assert (values.max_iterations, values.seed) == (1250, 2)
        assert sorted(minutes_to_score.not_followed(values)) == refused


@pytest.mark.parametrize('more, complaint', [
    ('--validation_images=20 --checkpoint_path=', 'this script itself sets --checkpoint_path, --validation_images'),
    ('--seed=5', 'this script itself sets --seed'), ('--bad=1', "Unknown command line flag 'bad'"),
    ('--batch_size=many', 'batch_size=many'), ('20', '20 is no flag'), ('--schedule="poly', 'No closing quotation')])
def test_bad_flags_for_more_end_in_one_line(monkeypatch, capsys, more, complaint):
    monkeypatch.setattr(sys, 'argv', ['minutes_to_score.py', '--dataset=shapes', '--more=' + more])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as end:
        minutes_to_score.main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count('\n') == 1 and complaint in error


def test_pytorch_on_cpus_is_not_compared_with_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(minutes_to_score.bench, 'gpus', lambda: ['Some GPU'])
    monkeypatch.setattr(minutes_to_score, 'fetch', lambda values: sys.exit('fetching'))
    monkeypatch.setattr(sys, 'argv', ['minutes_to_score.py', '--dataset=shapes', '--pytorch=PYTHON'])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as end:
        minutes_to_score.main()
    assert end.value.code == 2 and 'TensorFlow on Some GPU' in capsys.readouterr().err
    monkeypatch.setattr(sys, 'argv', sys.argv + ['--sides', 'ours'])
    with flagsaver.flagsaver(), pytest.raises(SystemExit, match='fetching'):
        minutes_to_score.main()


def test_weights_that_give_no_backbone_end_in_one_line(monkeypatch):
    program = 'import sys; print("a warning\\nfcn.backbone: no layers", file=sys.stderr); sys.exit(2)'
    run = subprocess.run
    monkeypatch.setattr(subprocess, 'run', lambda command, **options: run([sys.executable, '-c', program], **options))
    with pytest.raises(SystemExit) as end:
        minutes_to_score.write_backbone('weights.ckpt', 'backbone.safetensors')
    assert str(end.value) == '--weights=weights.ckpt gives no backbone for PyTorch: fcn.backbone: no layers'


def test_pytorch_is_told_what_it_asks_for(shapes, tmp_path):
    path = str(tmp_path / 'job.json')
    with flagsaver.flagsaver():
        minutes_to_score.write_job(minutes_to_score.parsed(
            ['--flagfile=flags/fine_tune.flags', '--dataset=shapes', f'--data_dir={shapes}']), 'float32', path)
    with open(path) as file:
        job = json.load(file)
    assert len(job['training']) == 6 and len(job['validation']) == 3
    assert all(os.path.isfile(name) for record in job['training'] + job['validation'] for name in record)
    assert job['ignore_label'] == 255 and len(job['class_names']) == 7 and job['label_map'] is None
    assert job['flags']['learning_rate'] == 0.0006 and job['flags']['precision'] == 'float32'
    assert job['flags']['random_scale'] == ['0.6', '2']
    with open(os.path.join(ROOT, 'benchmarks', 'pytorch_training.py'), encoding='utf-8') as file:
        source = file.read()
    assert set(re.findall(r"flags\['(\w+)'\]", source)) | {'augment'} == set(job['flags'])
    assert set(re.findall(r"job\['(\w+)'\]", source)) == set(job)
