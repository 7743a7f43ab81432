"""Reads JSON files entry by entry, so that a file of hundreds of megabytes takes the memory of one entry."""
import codecs
import json
import os
from typing import Any, Iterator, NamedTuple, Optional

CHUNK = 1 << 20  # characters read at a time
MOST_ENTRY = 1 << 26  # characters of an entry: labelme's files may hold a whole photo as text
MOST_BYTES = 1 << 30  # of a file; COCO's largest have half of it
LONGEST_INTEGER = 40  # digits, enough for a UUID; more become a float: int() takes the square of their number in time

LIST = object()  # value of an Entry that says that a list begins


class Entry(NamedTuple):
    """A part of the object that a file holds.

    Attributes:
      key: of the object.
      number: None, or of a list's item, from 0.
      value: of the key or the item, or LIST, before a list's items.
    """
    key: str
    number: Optional[int]
    value: Any


def read_entries(path: str, most_bytes: int = MOST_BYTES) -> Iterator[Entry]:
    """Yields the Entries of the object in a JSON file: each of its values, and of those that are lists each item.

    Args:
      path: of the file, UTF-8, or UTF-16 with a mark.
      most_bytes: that it may have.

    Raises:
      OSError, ValueError: it cannot be read, is too large, or no JSON object.
    """
    check_file(path, most_bytes)
    with open(path, 'rb') as file:
        is_wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with open(path, encoding='utf-16' if is_wide else 'utf-8-sig') as file:
        text = _Text(file)
        text.expect('{', 'it holds no JSON object')
        if text.peek() == '}':
            text.end()
            return
        while True:
            key = text.value() if text.peek() == '"' else text.fail('a key is missing')
            text.expect(':', 'a colon is missing')
            if text.peek() == '[':
                yield Entry(key, None, LIST)
                yield from _items(text, key)
            else:
                yield Entry(key, None, text.value())
            if text.peek() == '}':
                text.end()
                return
            text.expect(',', 'a comma is missing')


def check_file(path: str, most_bytes: int) -> None:
    """Raises OSError or ValueError for what is no file, such as a pipe, or has more bytes than `most_bytes`."""
    size = os.path.getsize(path)
    if not os.path.isfile(path):
        raise ValueError('it is no file')
    if size > most_bytes:
        raise ValueError(f'it has {size} bytes, and {most_bytes} are the most')


def _items(text, key):
    """Yields the Entries of a list that begins."""
    text.expect('[', 'a list is missing')
    number = 0
    while number or text.peek() != ']':
        yield Entry(key, number, text.value())
        number += 1
        if text.peek() == ']':
            break
        text.expect(',', 'a comma is missing')
    text.expect(']', 'a bracket is missing')


def _integer(digits):
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


class _Text:
    """The text of a file, of which the part that is being read is in memory."""

    def __init__(self, file):
        self._file, self._buffer, self._at, self._passed = file, '', 0, 0
        self._decoder = json.JSONDecoder(parse_int=_integer)

    def peek(self):
        """Returns the next character that is no blank, '' at the end."""
        while True:
            while self._buffer[self._at:self._at + 1] in (' ', '\n', '\t', '\r'):
                self._at += 1
            if self._at < len(self._buffer) or not self._read():
                return self._buffer[self._at:self._at + 1]

    def expect(self, character, fault):
        """Passes a character, or raises ValueError."""
        if self.peek() != character:
            self.fail(fault)
        self._at += 1

    def end(self):
        """Passes the last character, or raises ValueError where another follows."""
        self._at += 1
        if self.peek():
            self.fail('something follows the object, as where two files were joined or a longer one was written over')

    def value(self):
        """Returns the value that begins here, and passes it. Raises ValueError."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except RecursionError:
                self.fail('it is nested too deeply')
            except json.JSONDecodeError as error:  # it may end in what has not been read yet
                if len(self._buffer) - self._at > MOST_ENTRY:
                    self.fail(f'an entry is broken, or longer than {MOST_ENTRY} characters')
                if not self._read():
                    self.fail(f'it is no JSON, or cut short: {error.msg}', error.pos - self._at)
            else:
                if end < len(self._buffer) or not self._read():  # of a number, digits may follow
                    self._at = end
                    return value

    def fail(self, fault, further=0):
        """Raises ValueError that says where."""
        raise ValueError(f'{fault} (at character {self._passed + self._at + further})')

    def _read(self):
        """Reads on, twice as much where an entry needs it. Returns whether there was more."""
        piece = self._file.read(max(CHUNK, len(self._buffer) - self._at))
        if piece:
            self._passed += self._at
            self._buffer, self._at = self._buffer[self._at:] + piece, 0
        return bool(piece)
