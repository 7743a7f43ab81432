"""Commands killed while they write their outputs, and run again. docs/reliability.csv is the table.

FCN_KILLS sets how often each is killed, with the whole backbone; without it, two of the five are, once.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, run_well
from small_runs import STEP_ONE, start, training

KILLS = int(os.environ.get('FCN_KILLS', 0))
pytestmark = [] if KILLS else pytest.mark.usefixtures('small_backbone_throughout')


@pytest.fixture(scope='module')
def trained(shapes, tmp_path_factory):
    """The logs_dir of a run of one step."""
    logs_dir = str(tmp_path_factory.mktemp('trained') / 'logs')
    run_well(*training(shapes, logs_dir, STEP_ONE, '--max_iterations=1'))
    return logs_dir


def start_command(mode, trained, photos, place):
    """Starts the command that writes below `place`."""
    os.makedirs(place, exist_ok=True)
    flags = ['--logs_dir=' + trained, '--results_dir=%s/results' % place]
    if mode == 'own_data':
        return subprocess.Popen([sys.executable, '-m', 'fcn.own_data', '--images=%s/images' % photos,
                                 '--masks=%s/masks' % photos, '--out=%s/data' % place], cwd=ROOT,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    more = {'test': ['--mode=test', '--nocrf'], 'photos': ['--mode=visualize', '--image_dir=%s/images' % photos],
            'validation': ['--mode=visualize'], 'export': ['--mode=export', '--export_dir=%s/saved_model' % place]}
    return start(*(more[mode] + flags))


def files_below(place):
    """{path: content} of all files and folders below a folder."""
    found = {}
    for parent, folders, names in os.walk(place):
        found.update((os.path.relpath(os.path.join(parent, name), place), None) for name in folders)
        for name in names:
            with open(os.path.join(parent, name), 'rb') as file:
                found[os.path.relpath(os.path.join(parent, name), place)] = file.read()
    return found


@pytest.mark.parametrize('mode', ['photos', 'own_data'] + ['test', 'validation', 'export'] * bool(KILLS))
def test_killed_at_random_moments_and_run_again(mode, trained, tmp_path):
    """The files are those of a command that was never killed, and nothing else is left."""
    photos, place, draws = tmp_path / 'mine', str(tmp_path / 'place'), random.Random(mode)
    for kind in ('images', 'masks'):
        (photos / kind).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.RandomState(number).randint(0, 3, (96, 120, 3)).astype('uint8')
            pixels = pixels * 100 if kind == 'images' else (pixels[:, :, 0].repeat(12, 0)[:96])
            Image.fromarray(pixels).save(str(photos / kind / ('%d.png' % number)))

    command = mode, trained, photos, place
    began, process = time.monotonic(), start_command(*command)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    seconds, expected = time.monotonic() - began, files_below(place)
    assert len(expected) > 4
    for _ in range(max(KILLS, 1)):
        shutil.rmtree(place)
        process = start_command(*command)
        time.sleep(draws.uniform(0.4, 1) * seconds)
        process.send_signal(draws.choice([signal.SIGKILL, signal.SIGTERM]))
        process.communicate()
        process = start_command(*command)
        said = process.communicate()[0]
        if mode in ('own_data', 'export') and re.search('(is|and) not empty', said):  # it was done before the kill
            continue
        assert process.returncode == 0, said
        found = files_below(place)
        assert sorted(found) == sorted(expected)
        # saved_model.pb holds the names of temporary files that its assets came from.
        assert [name for name in expected if found[name] != expected[name] and not name.endswith('.pb')] == []
