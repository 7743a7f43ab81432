"""Damaged config.json files: an error that names the file, or flags that are values."""
import contextlib
import io
import json
import os
import random

from absl.testing import flagsaver

import inception_FCN
from fcn.config import DEFAULT_FLAGS, IMMUTABLE_FLAGS
from fcn.utils.errors import printable
from fuzzing import SEED, TEXTS, TIMES, Tally, mutated, write
from fuzzing_commands import FLAGS, MODES, base, program_flags, run_flags
from picture_files import NAMES

JSON_VALUES = [None, True, False, 0, -1, 1.5, float('nan'), float('inf'), 10 ** 30, '', ' ', 'x', '7s', '\0', 'a\nb',
               '\ud800', '\x1b[31m', [], {}, [1], ['a'], ['a', 'b'], ['a', 5], [None, []], {'a': 1}, [[[]]], 'x' * 9999]


def configurations(rng):
    """Yields damaged contents of config.json."""
    good = {'flags': {name: FLAGS[name].default for name in program_flags()}, 'void_label': None, 'class_names': NAMES}
    good['flags']['data_dir'] = 'DATA/SET'
    for key in sorted(good) + ['other']:
        for value in JSON_VALUES:
            yield json.dumps(dict(good, **{key: value})).encode()
    restored = IMMUTABLE_FLAGS + DEFAULT_FLAGS
    for key in sorted(good['flags']):
        for value in JSON_VALUES if key in restored else JSON_VALUES[:5]:
            if key != 'data_dir' or value:  # else the default folder, which is downloaded
                yield json.dumps(dict(good, flags=dict(good['flags'], **{key: value}))).encode()
    for value in JSON_VALUES:
        yield json.dumps(value).encode()
    text = json.dumps(good).encode()
    yield from TEXTS + [b'[' * 10 ** 5, b'{"a":' * 10 ** 5, b'9' * 10000, b'\xef\xbb\xbf' + text,
                        b'{"flags": {"image_size": ' + b'9' * 9999 + b'}}', text.decode().encode('utf-16')]
    for _ in range(100 * TIMES):
        yield mutated(text, rng, text)[1]


def names_data(data):
    """Whether a configuration has a --data_dir that is not the default folder, which is downloaded."""
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        return bool(json.loads(data.decode())['flags']['data_dir'])
    return False


def test_configurations(tmp_path, work_folder, network_calls):
    """Through the script, in a folder that seems to hold a checkpoint; then what is restored must be values."""
    def restore():
        saved = flagsaver.save_flag_values(FLAGS)
        try:
            FLAGS(['inception_FCN.py', '--logs_dir=logs'])
            with contextlib.redirect_stdout(io.StringIO()):
                config, _ = inception_FCN.configure(inception_FCN.MODES['train'])
            for name, value in config.flags.items():
                assert value is None and FLAGS[name].default is None or value == FLAGS[name].parser.parse(value), name
                assert not isinstance(value, str) or printable(value) == value, name
            assert set(config.flags) == set(program_flags())
        finally:
            flagsaver.restore_flag_values(saved, FLAGS)
        return 'restored'

    tally = Tally(tmp_path)
    os.mkdir('logs')
    write('logs/model.ckpt-1.index', b'')
    for number, data in enumerate(configurations(random.Random(SEED))):
        write('logs/config.json', data)
        tally.trial(repr(data[:3000]), 'logs/config.json', restore)
        mode = MODES[number % len(MODES)]
        flags = [one for one in base(mode) if mode == 'train' or not names_data(data) or 'data_dir' not in one]
        run_flags(tally, *flags)
    tally.finish(100, 'error', 'restored', 'status 0', 'status 2')
    assert network_calls == []
