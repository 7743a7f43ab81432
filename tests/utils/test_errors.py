"""fcn/utils/errors.py: what ends a command for want of memory or of room is no defect, and a defect is."""
import errno
import os

import pytest

from fcn.data import image_files
from fcn.utils.errors import EXIT_DEFECT, EXIT_INPUT, InputError, explain
from fcn.utils.files import write_atomic
from small_files import save
from TensorflowUtils import tf


def raised(error, context, suppressed=False):
    """An exception as it looks that was raised while another was handled; suppressed: `from None`."""
    error.__context__, error.__suppress_context__ = context, suppressed
    return error


@pytest.mark.parametrize('error, words', [
    (MemoryError(), 'no memory left'),
    (MemoryError('Unable to allocate 9 GiB'), 'Unable to allocate 9 GiB'),
    (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), 'Cannot allocate memory'),
    (ImportError('libtensorflow_cc.so.2: failed to map segment from shared object'), 'libtensorflow_cc.so.2: failed'),
    (ImportError('Traceback (most recent call last):\n  File "x"\nImportError: a.so: failed to map segment from shared '
                 'object\n\nFailed to load the native TensorFlow runtime.'), '(ImportError: a.so: failed to map'),
    (RuntimeError("can't start new thread"), "can't start new thread"),
    (RuntimeError('std::bad_alloc'), 'std::bad_alloc'),
    (tf.errors.ResourceExhaustedError(None, None, 'OOM when allocating tensor'), 'OOM when allocating tensor'),
    (tf.errors.InternalError(None, None, 'CUDA_ERROR_OUT_OF_MEMORY: out of memory'), 'CUDA_ERROR_OUT_OF_MEMORY'),
    (tf.errors.AbortedError(None, None, 'Operation received an exception:Status: 1, message: could not create a '
                            'primitive, in file mkl_conv_ops.cc:1112'), 'could not create a primitive'),
    (raised(ValueError('x'), raised(KeyError('y'), MemoryError())), 'no memory left')])
def test_want_of_memory_is_no_defect(error, words):
    status, text = explain(error)
    assert status == EXIT_INPUT and text.startswith('the memory does not suffice: take a smaller --batch_size')
    assert '`ulimit -v`' in text and words in text and '\n' not in text


@pytest.mark.parametrize('error', [
    KeyError('memory'), RuntimeError('x'), ImportError('libx.so: cannot open shared object file'), AssertionError(),
    tf.errors.AbortedError(None, None, 'Status: 3, message: could not create a primitive'),
    tf.errors.InternalError(None, None, 'x'), raised(ValueError('x'), OSError(errno.ENOENT, 'x')),
    raised(ValueError('x'), MemoryError(), suppressed=True)])
def test_defects_stay_defects(error):
    status, text = explain(error)
    assert status == EXIT_DEFECT and text.startswith('a defect of this program'), text


@pytest.mark.parametrize('number, words', [
    (errno.EFBIG, 'raise that limit (`ulimit -f`)'), (errno.ENOSPC, 'The disk is full: '),
    (errno.EDQUOT, 'The disk is full: '), (errno.EACCES, 'permissions'), (errno.ENOMEM, '`ulimit -v`')])
def test_files_that_cannot_be_written(number, words, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, 'replace', refuse)
    with pytest.raises(InputError) as caught:
        write_atomic(str(tmp_path / 'x'), b'x')
    assert 'Cannot write %s/x: %s' % (tmp_path, os.strerror(number)) in str(caught.value)
    assert words in str(caught.value) and os.listdir(str(tmp_path)) == []
    status, text = explain(OSError(number, os.strerror(number), 'y'))
    assert status == EXIT_INPUT and words in text and os.strerror(number) in text


@pytest.mark.parametrize('kind', [tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError,
                                  tf.errors.UnknownError])
@pytest.mark.parametrize('number, words', [(errno.EFBIG, '`ulimit -f`'), (errno.ENOSPC, 'The disk is full: ')])
def test_files_that_tensorflow_cannot_write(kind, number, words):
    status, text = explain(kind(None, None, '/logs/events; ' + os.strerror(number)))
    assert status == EXIT_INPUT and words in text and '/logs/events' in text and 'memory' not in text


def test_picture_for_which_the_memory_does_not_suffice_is_no_bad_file(tmp_path, monkeypatch):
    """It would be left out with --skip_bad_images."""
    def refuse(*_, **__):
        raise MemoryError
    path = save(tmp_path / 'a.png', image_files.np.zeros((9, 9, 3), 'uint8'))
    monkeypatch.setattr('PIL.Image.Image.load', refuse)
    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', refuse)
    with pytest.raises(InputError, match='%s cannot be read: the memory does not suffice.*ulimit -v' % path) as caught:
        image_files.open_image(path)
    assert not isinstance(caught.value, image_files.BadFile)
