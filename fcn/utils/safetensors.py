"""Reads and writes safetensors, the format of weights without code in it: a JSON header, then the raw numbers.

The file begins with the header's length, 8 bytes, little-endian. The header is {name: {'dtype', 'shape',
'data_offsets': [begin, end]}}, with offsets that count from its end; the numbers are little-endian, in C order, without
gaps. Source: safetensors 0.4, README, "Format".
"""
import json
import os
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

from fcn.utils.errors import InputError
from fcn.utils.files import writing

LONGEST_HEADER = 10 ** 7  # bytes; that of InceptionV3 has 6 * 10 ** 4
MOST_DIMENSIONS = 8
BYTES = {'F64': 8, 'F32': 4, 'F16': 2, 'BF16': 2, 'I64': 8, 'I32': 4, 'I16': 2, 'I8': 1, 'U64': 8, 'U32': 4, 'U16': 2,
         'U8': 1, 'BOOL': 1, 'F8_E4M3': 1, 'F8_E5M2': 1}
FLOATS = {'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'BF16': '<u2'}  # and how NumPy reads them


class Tensor(NamedTuple):
    """Holds what the header says of a tensor: its type, its shape, and its first byte in the file."""
    dtype: str
    shape: Tuple[int, ...]
    begin: int


def read_header(path: str) -> Dict[str, Tensor]:
    """Returns {name: `Tensor`} of a file. Reads no more than its header.

    Raises:
      InputError: the file is truncated, or is no safetensors file as the format has it.
      OSError: it cannot be opened.
    """
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), 'little')
        if not 2 <= length <= size - 8:
            raise _fault(path, f'its header would be {length} bytes long, and the file has {size}')
        if length > LONGEST_HEADER:
            raise _fault(path, f'its header is {length} bytes long, and at most {LONGEST_HEADER} are read')
        try:
            header = json.loads(file.read(length).decode('utf-8'), parse_int=_parse_int)
            header.pop('__metadata__', None)
            tensors = [(name, *_parse(entry)) for name, entry in header.items()]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _fault(path, f'its header cannot be read ({type(error).__name__}: {error})') from None
    here = 0
    for name, _, _, begin, end in sorted(tensors, key=lambda tensor: tensor[3:]):
        if begin != here:
            raise _fault(path, f'the bytes of {name} begin at {begin}, where those before it end at {here}')
        here = end
    if here != size - 8 - length:
        raise _fault(path, f'its header speaks of {here} bytes of numbers, and it has {size - 8 - length}')
    return {name: Tensor(dtype, shape, 8 + length + begin) for name, dtype, shape, begin, _ in tensors}


def _fault(path, what):
    return InputError(f'{path} is no whole safetensors file: {what}. Fetch it again, and compare its size.')


def _parse_int(digits):
    if len(digits) > 18:
        raise ValueError(f'a number of {len(digits)} digits')
    return int(digits)


def _parse(entry):
    """Returns (dtype, shape, begin, end) of a tensor's entry in the header. Raises ValueError, TypeError, KeyError."""
    dtype, shape, (begin, end) = entry['dtype'], entry['shape'], entry['data_offsets']
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f'a shape is no list of at most {MOST_DIMENSIONS} numbers')
    if not all(type(number) is int and number >= 0 for number in [*shape, begin, end]):
        raise ValueError('a size or an offset is no whole number from 0 on')
    count = 1
    for number in shape:
        count *= number
    if end - begin != count * BYTES.get(dtype, 0) and (dtype in BYTES or end < begin):
        raise ValueError(f'a tensor of {dtype} {shape} lies at bytes {begin} to {end}')
    return dtype, tuple(shape), begin, end


def read_tensor(path: str, tensor: Tensor) -> np.ndarray:
    """Returns the numbers of a tensor of `read_header` as float32, in its shape.

    Raises:
      ValueError: its type is none of F64, F32, F16 and BF16.
      OSError: the file cannot be read.
    """
    if tensor.dtype not in FLOATS:
        raise ValueError(f'it is of type {tensor.dtype}, and {", ".join(FLOATS)} are read')
    with open(path, 'rb') as file:
        file.seek(tensor.begin)
        numbers = np.fromfile(file, FLOATS[tensor.dtype], int(np.prod(tensor.shape, dtype='int64')))
    if tensor.dtype == 'BF16':  # the upper half of a float32
        numbers = (numbers.astype('<u4') << 16).view('<f4')
    with np.errstate(over='ignore'):
        return numbers.astype('float32').reshape(tensor.shape)


def write(path: str, arrays: Dict[str, np.ndarray]) -> None:
    """Writes arrays as float32. Raises InputError."""
    header: Dict[str, Any] = {'__metadata__': {'format': 'pt'}}
    begin = 0
    for name, array in arrays.items():
        header[name] = {'dtype': 'F32', 'shape': list(array.shape), 'data_offsets': [begin, begin + 4 * array.size]}
        begin += 4 * array.size
    text = json.dumps(header).encode('utf-8')
    text += b' ' * (-len(text) % 8)
    with writing(path), open(path, 'wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, '<f4').tobytes())
