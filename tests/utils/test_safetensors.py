"""fcn/utils/safetensors.py: numbers of all floating-point types, and headers that lie."""
import json
import os

import numpy as np
import pytest

from fcn.utils import safetensors
from fcn.utils.errors import InputError


def make(path, header, data=b'', length=None):
    """Writes a file as the format has it, of a header as JSON or bytes. Returns its path."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(str(path), 'wb') as file:
        file.write((len(text) if length is None else length).to_bytes(8, 'little') + text + data)
    return str(path)


def entry(dtype='F32', shape=(2,), offsets=(0, 8)):
    return {'dtype': dtype, 'shape': list(shape), 'data_offsets': list(offsets)}


@pytest.mark.parametrize('dtype, data', [
    ('F64', np.array([[1.5, -2, 0.25]], '<f8').tobytes()), ('F32', np.array([[1.5, -2, 0.25]], '<f4').tobytes()),
    ('F16', np.array([[1.5, -2, 0.25]], '<f2').tobytes()), ('BF16', b'\xc0\x3f\x00\xc0\x80\x3e')])
def test_types_of_numbers(tmp_path, dtype, data):
    path = make(tmp_path / 'x', {'__metadata__': {'format': 'pt'}, 'count': entry('I64', [], [0, 8]),
                                 'a': entry(dtype, [1, 3], [8, 8 + len(data)])}, b'\1' * 8 + data)
    tensors = safetensors.read_header(path)
    assert set(tensors) == {'a', 'count'} and tensors['a'].shape == (1, 3)
    array = safetensors.read_tensor(path, tensors['a'])
    assert array.dtype == np.float32 and array.tolist() == [[1.5, -2, 0.25]]
    with pytest.raises(ValueError, match='of type I64'):
        safetensors.read_tensor(path, tensors['count'])


def test_what_is_written_is_read(tmp_path):
    arrays = {'b': np.arange(24, dtype='float32').reshape(2, 3, 4).transpose(2, 0, 1), 'a': np.float32([7])}
    path = str(tmp_path / 'x.safetensors')
    safetensors.write(path, arrays)
    tensors = safetensors.read_header(path)
    assert tensors['b'].begin % 8 == 0
    for name, array in arrays.items():
        assert np.array_equal(safetensors.read_tensor(path, tensors[name]), array)


@pytest.mark.parametrize('header, data, words', [
    ({'a': entry()}, bytes(7), 'speaks of 8 bytes of numbers, and it has 7'),
    ({'a': entry()}, bytes(9), 'speaks of 8 bytes of numbers, and it has 9'),
    ({'a': entry(), 'b': entry(offsets=(4, 12))}, bytes(12), 'the bytes of b begin at 4, where those before it end '
                                                               'at 8'),
    ({'a': entry(), 'b': entry(offsets=(12, 20))}, bytes(20), 'begin at 12'),
    ({'a': entry(offsets=(8, 0))}, bytes(8), 'lies at bytes 8 to 0'),
    ({'a': entry('F99', offsets=(8, 0))}, bytes(8), 'lies at bytes 8 to 0'),
    ({'a': entry(shape=[3])}, bytes(8), 'a tensor of F32 .3. lies at bytes 0 to 8'),
    ({'a': entry(shape=[10 ** 17] * 8)}, bytes(8), 'lies at bytes 0 to 8'),
    ({'a': entry(shape=[1] * 9)}, bytes(4), 'at most 8 numbers'),
    ({'a': entry(shape=[-2])}, bytes(8), 'no whole number'),
    ({'a': entry(shape=[2.0])}, bytes(8), 'no whole number'), ({'a': entry(shape=[True])}, bytes(8), 'no whole number'),
    ({'a': entry(offsets=['0', 8])}, bytes(8), 'no whole number'), ({'a': entry(offsets=[8])}, bytes(8), 'ValueError'),
    ({'a': {'shape': [2]}}, bytes(8), 'KeyError'), ({'a': [1]}, bytes(8), 'TypeError'), ([], b'', 'TypeError'),
    (b'77', b'', 'AttributeError'),
    (b'{"a": ', b'', 'JSONDecodeError'), (b'\xff\xfe{}', b'', 'UnicodeDecodeError'),
    (b'[' * 10 ** 6, b'', 'RecursionError'), (b'{"a": ' + b'9' * 10 ** 6 + b'}', b'', 'a number of 1000000 digits')])
def test_headers_that_lie(tmp_path, header, data, words):
    with pytest.raises(InputError, match='x.safetensors is no whole safetensors file: .*' + words):
        safetensors.read_header(make(tmp_path / 'x.safetensors', header, data))


@pytest.mark.parametrize('length', [2 ** 64 - 1, 2 ** 40, 100, 1, 0])
def test_lengths_of_headers_that_lie(tmp_path, length):
    with pytest.raises(InputError, match=f'would be {length} bytes long, and the file has 10'):
        safetensors.read_header(make(tmp_path / 'x', b'{}', length=length))


def test_short_files_and_long_headers(tmp_path):
    (tmp_path / 'x').write_bytes(b'\2')
    with pytest.raises(InputError, match='and the file has 1'):
        safetensors.read_header(str(tmp_path / 'x'))
    path = make(tmp_path / 'y', b'{}', length=10 ** 9)
    os.truncate(path, 2 * 10 ** 9)  # sparse
    with pytest.raises(InputError, match='at most 10000000 are read'):
        safetensors.read_header(path)
