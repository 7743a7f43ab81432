"""Hostile flag values, names, addresses and flag files: status 0, 1 or 2, and one paragraph."""
import os
import random

from conftest import ROOT
from fuzzing import SEED, TIMES, Tally, mutated, noise, read, write
from fuzzing_commands import FLAGS, MODES, base, program_flags, run_flags

VALUES = ['nan', 'NaN', 'inf', '-inf', '-1', '0', '1e400', '-1e400', '1e-400', str(10 ** 30), '9' * 5000, '0x10', '1.5',
          '1_000', '\u0661', '', ' ', '  x ', 'None', 'null', 'é', '日本', '\U0001f600', 'a\nb', 'a\r', '\t', '\0',
          '\x1b[31mred', '\x7f', '\x85', '\u2028', '\udcff', '\ud800x', 'x' * 100000, 'a/' * 3000, '.', '..', '../..',
          '/', '/dev/null', '/dev/full', '/dev/zero', '/proc/self/environ', '/proc/self/mem', ',', ',,,', 'a,b', '"',
          "'", '"a', '%s%n%d', '{0}', '$(touch x)', '`x`', '$HOME', '~', '-', '--', '-x', '--mode=test', '=', '*', '[',
          '[a', '?', '\\', 'C:\\x', 'x;y', '<', '|']
URLS = ['http://', 'http://[', 'http://[::1', 'http://x', 'http://x/', 'http://x/a.tar', 'http://x:y/a.tar',
        'http://x:99999/a.tar', 'http:// /a.tar', 'http://\u2100/a.tar', 'http://é/ü.tar', 'ftp://', 'ftp://x/a.tar',
        'file://', 'file:///', 'file:///etc', 'file://x/a.tar', 'file:///dev/null', 'data://,x', 'x://y/z', '://', '://a',
        'http://x/%2e%2e', 'http://x/..%2fa', 'http://x/%00', 'http://x/a%0ab.tar', 'http://x/' + 'a' * 5000,
        'http://u:p@/a.tar', 'HTTP://x/a.tar', 'http://x/a b.tar', 'http://x/a.tar#b?c']
PATH_FLAGS = ['data_dir', 'class_names', 'logs_dir', 'train_dir', 'results_dir', 'checkpoint_path', 'image_dir',
              'image_names', 'export_dir', 'compare']


def test_flag_values(tmp_path, work_folder, network_calls):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    drawn = [''.join(chr(rng.randrange(0x3000)) for _ in range(rng.randrange(1, 9))) for _ in range(20 * (TIMES - 1))]
    os.mkdir('logs')
    write('logs/model.ckpt-1.index', b'')  # or test, visualize and export would read no data
    for name in program_flags():
        untrained = ['--logs_dir=none'] * (name == 'checkpoint_path')  # which counts where nothing was trained
        for value in VALUES + drawn + ['LOOP', 'LOOP/*']:
            if (name, value) in (('data_dir', ''), ('image_dir', '/')):
                continue  # the default folder, which is downloaded; all that the machine holds
            for mode in rng.sample(MODES, 2 if name in PATH_FLAGS else 1):
                run_flags(tally, *base(mode) + untrained + ['--%s=%s' % (name, value)])
    tally.finish(2000, 'status 0', 'status 1', 'status 2')
    assert network_calls == []


def test_urls(tmp_path, work_folder, network_calls):
    tally = Tally(tmp_path)
    for url in URLS + VALUES:
        for dataset in ('pascal_voc', 'mit_scene_parsing', 'camvid', 'cityscapes', 'shapes'):
            if dataset != 'shapes' or url:  # else it is drawn
                run_flags(tally, '--mode=check', '--data_dir=EMPTY', '--results_dir=results', '--dataset=' + dataset,
                          '--data_url=' + url)
    tally.finish(250, 'status 1', 'status 2')
    assert network_calls


def misspelt(name, rng):
    at = rng.randrange(len(name))
    return rng.choice([name[:at] + name[at + 1:], name[:at] + 'x' + name[at:], name.upper(),
                       name.replace('_', '-') + '-'])


def test_flag_names(tmp_path, work_folder, network_calls, monkeypatch):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    for number, name in enumerate(program_flags()):
        others = [['--no' + name + '=1'], ['--no' + name + 'x'], ['--' + name + '='],
                  ['--' + misspelt(name, rng) + '=1'], ['---' + name + '=1'], ['--%s=1' % name, '--%s=nan' % name],
                  ['--%s=-' % name, '--' + name],
                  ['--' + name + '\n=1'], ['--' + name]]
        if not FLAGS[name].boolean:
            others.append(['--no' + name])
        with monkeypatch.context() as patched:
            if number % 8:  # absl measures how near a wrong name is to each flag's, for 50 ms
                patched.setattr('absl.flags._helpers._damerau_levenshtein',
                                lambda one, other: abs(len(one) - len(other)))
            for arguments in others:
                if name not in ('data_dir', 'debug', 'mode'):
                    run_flags(tally, *base('check') + arguments)
    for one in VALUES + ['--=x', '--=', '---', '-h=', '--flagfile', '--flagfile=', '--undefok', '--undefok=x', '--x',
                         '--\u00e9', '--' + 'x' * 5000, '--\udcff', '--\0', '--a\nb=c', '--undefok=nan --nan=1']:
        for arguments in ([one], ['--', one], ['--' + one], ['--undefok=' + one, '--x=1']):
            run_flags(tally, *base('check') + arguments)
    tally.finish(400, 'status 0', 'status 1', 'status 2')
    assert network_calls == []


FLAG_FILES = [b'', b'\n\n', b'# nothing\n// nothing\n', '--seed=1\n'.encode('utf-16'), b'\xef\xbb\xbf--seed=1\n',
              b'--seed=1\0\n', b'--image_dir=a\0b\n', b'--logs_dir=' + b'x' * 10 ** 6, b'x' * 10 ** 6,
              b'--' + b'y' * 10 ** 6, b'--seed=1\r\n--batch_size=2\r\n', b'--seed=1\r--seed=2', b'--seed=\xff\n',
              b'--logs_dir=caf\xe9\n', b'word\n', b'--\n--seed=1\n', b'--seed 1\n', b'--seed\n1\n', b'  --seed=1  \n',
              b'--flagfile\n', b'--flagfile=\n', b'--flagfile=FILE\n', b'--flagfile=OTHER\n', b'--flagfile=none\n',
              b'--flagfile=EMPTY\n', b'--flagfile=/dev/null\n', b'--seed=1\n' * 10000, b'--unknown=1\n',
              b'--seed=nan\n', b'--learning_rate=nan', b'--seed="1"\n', b'\x1f\x8b\x08\0' + b'\0' * 100, b'--no\n',
              b'--undefok=x\n--x=1\n', b'-\n', b'--=\n']


def test_flag_files(tmp_path, work_folder, network_calls):
    tally, rng = Tally(tmp_path), random.Random(SEED)
    good = read(os.path.join(ROOT, 'flags', 'original_2017.flags'))
    write('OTHER', b'--flagfile=FILE\n')
    for number in range(1500):  # deeper than Python's stack
        write('deep%d' % number, b'--flagfile=deep%d\n' % (number + 1))
    drawn = [mutated(good, rng, good)[1] for _ in range(150 * TIMES)]
    for data in FLAG_FILES + [noise(rng, 300) for _ in range(20 * TIMES)] + drawn:
        if b'--help' not in data:
            write('FILE', data)
            run_flags(tally, *base('check') + ['--flagfile=FILE'])
    for path in ('missing', 'EMPTY', '', ' ', '/dev/null', '/proc/self/mem', 'deep0', 'a\0b', 'FILE,FILE', '\udcff'):
        run_flags(tally, *base('check') + ['--flagfile=' + path])
    tally.finish(200, 'status 0', 'status 1', 'status 2')
    assert network_calls == []
