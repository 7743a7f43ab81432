"""Small films that tests make. Needs imageio-ffmpeg, which is optional: `needs_ffmpeg` skips without it."""
import struct

import numpy as np
import pytest

from fcn.data import films
from fcn.utils.errors import InputError

try:
    films.import_ffmpeg()
    MISSING = False
except InputError:
    MISSING = True
needs_ffmpeg = pytest.mark.skipif(MISSING, reason='imageio-ffmpeg is not installed')

UPRIGHT = struct.pack('>9i', 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # an MP4's matrix of a track
TURNED = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # by 90 degrees


def moving_shapes(count, height=80, width=96):
    """Frames, uint8 [count, height, width, 3]: a square and a disc move over a gradient."""
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), 'uint8')
    for number, frame in enumerate(frames):
        frame[...] = (rows + columns)[..., None] % 200
        frame[(abs(rows - 25) < 12) & (abs(columns - 20 - 5 * number) < 12)] = (230, 30, 40)
        frame[(rows - 55) ** 2 + (columns - 80 + 4 * number) ** 2 < 150] = (20, 60, 220)
    return frames


def write_film(path, frames, rate=10, codec='libx264rgb', sound=None, *output, sound_codec='aac'):
    """Writes a film without loss, but for codecs that have it. output: more options of ffmpeg. Returns its path."""
    encoder = films.import_ffmpeg().write_frames(
        str(path), frames.shape[2:0:-1], fps=float(rate), codec=codec, quality=None, macro_block_size=1,
        pix_fmt_out='rgb24' if codec == 'libx264rgb' else 'yuv420p', ffmpeg_log_level='error', audio_path=sound,
        audio_codec=sound_codec, input_params=['-r', str(rate)],
        output_params=(['-crf', '0'] if codec == 'libx264rgb' else []) + list(output))
    encoder.send(None)
    for frame in frames:
        encoder.send(np.ascontiguousarray(frame))
    encoder.close()
    return str(path)


def write_sound(path, seconds):
    """Writes a tone as WAV, 16 bits. Returns its path."""
    import wave
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        tone = 8000 * np.sin(np.arange(int(8000 * seconds)) * 0.35)
        file.writeframes(tone.astype('<i2').tobytes())
    return str(path)
