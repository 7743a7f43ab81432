"""Whole picture files of many kinds, as bytes, and the parts of a PNG: what fuzz tests damage."""
import io
import struct
import zlib

import numpy as np
from PIL import Image, features

from fcn.data import datasets, image_files
from fcn.data.palettes import voc_palette

HEIGHT, WIDTH = 24, 32
NAMES = ['background', 'cat', 'dog']
DATASET = datasets.Dataset('fuzz', [], [], NAMES, 255, None, voc_palette())

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PNG_MAGIC = b'\x89PNG\r\n\x1a\n'


def png_chunk(kind, payload):
    return struct.pack('>I', len(payload)) + kind + payload + struct.pack('>I', zlib.crc32(kind + payload))


def build_png(chunks):
    """The file of [(kind, payload)], its checksums right."""
    return PNG_MAGIC + b''.join(png_chunk(*chunk) for chunk in chunks)


def png_chunks(data):
    """The inverse of `build_png`."""
    chunks, position = [], len(PNG_MAGIC)
    while position + 8 <= len(data):
        length, = struct.unpack_from('>I', data, position)
        chunks.append((data[position + 4:position + 8], data[position + 8:position + 8 + length]))
        position += 12 + length
    return chunks


def draw_png(pixels, colour, interlaced=False):
    """A PNG with its data in five chunks, interlaced where asked for; Pillow writes neither.

    pixels: uint8 or uint16 [H, W] or [H, W, channels]. colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    """
    height, width = pixels.shape[:2]
    rows = [row for x, y, right, down in (ADAM7 if interlaced else [(0, 0, 1, 1)])
            for row in pixels[y::down, x::right]]
    raw = zlib.compress(b''.join(b'\0' + row.astype(row.dtype.newbyteorder('>')).tobytes() for row in rows if row.size))
    step = len(raw) // 5 + 1
    header = struct.pack('>2I5B', width, height, 8 * pixels.itemsize, colour, 0, 0, interlaced)
    palette = [(b'PLTE', voc_palette().tobytes())] if colour == 3 else []
    return build_png([(b'IHDR', header)] + palette + [(b'IDAT', raw[at:at + step]) for at in range(0, len(raw), step)]
                     + [(b'IEND', b'')])


def draw_tiff(pixels, order, compressed=False, white_is_0=False):
    """A TIFF of uint16 [H, W], or RGB or RGBA [H, W, channels], in a byte order, '<' or '>'; Pillow writes no colours.

    compressed: by Deflate, which another of Pillow's decoders reads.
    """
    height, width, channels = pixels.shape + (1,) * (3 - pixels.ndim)
    data = pixels.astype(order + 'u2').tobytes()
    data = zlib.compress(data) if compressed else data
    bits = struct.pack(order + '%dH' % channels, *[16] * channels).ljust(8, b'\0')
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8), (259, 4, 1, 8 if compressed else 1),
            (262, 4, 1, 2 if channels > 1 else 0 if white_is_0 else 1), (273, 4, 1, 16), (277, 4, 1, channels),
            (278, 4, 1, height), (279, 4, 1, len(data))] + [(338, 4, 1, 2)] * (channels == 4)
    if channels == 1:
        tags[2] = (258, 4, 1, 16)
    start = struct.pack(order + '2sHI', {'<': b'II', '>': b'MM'}[order], 42, 16 + len(data))
    return (start + bits + data + struct.pack(order + 'H', len(tags)) +
            b''.join(struct.pack(order + 'HHII', *tag) for tag in tags) + b'\0' * 4)


def draw_tiff_in_parts(pixels, order, rows=None, columns=None, separate=True, extra=2):
    """A TIFF as `draw_tiff`, in strips of some rows or, with columns, tiles; separate: one channel after the other.

    extra: what the fourth channel is, 2: alpha.
    """
    pixels = np.atleast_3d(pixels)
    height, width, channels = pixels.shape
    planes = np.moveaxis(pixels, 2, 0)[..., None] if separate else pixels[None]
    down, right = rows or height, columns or width
    padded = np.pad(planes, ((0, 0), (0, -height % down), (0, -width % right), (0, 0)), 'constant')
    count, tall, wide, together = padded.shape
    parts = padded.reshape(count, tall // down, down, wide // right, right, together).swapaxes(2, 3)
    parts = parts.reshape(-1, down * right * together)
    size, number = 2 * parts.shape[1], len(parts)
    data = parts.astype(order + 'u2').tobytes()
    lists = {258: ('H', [16] * channels), 273: ('I', [8 + size * one for one in range(number)]),
             279: ('I', [size] * number)}
    tags = {256: width, 257: height, 259: 1, 262: 2 if channels > 1 else 1, 277: channels, 284: 1 + separate}
    tags.update({338: extra} if channels == 4 else {})
    if columns:
        tags.update({322: right, 323: down})
        lists[324], lists[325] = lists.pop(273), lists.pop(279)
    else:
        tags[278] = down
    entries = [(tag, 4, 1, struct.pack(order + 'I', value)) for tag, value in tags.items()]
    for tag, (kind, values) in lists.items():
        packed = struct.pack(order + kind * len(values), *values)
        if len(packed) > 4:
            packed, data = struct.pack(order + 'I', 8 + len(data)), data + packed + b'\0' * (len(packed) % 4)
        entries.append((tag, 3 if kind == 'H' else 4, len(values), packed.ljust(4, b'\0')))
    start = struct.pack(order + '2sHI', {'<': b'II', '>': b'MM'}[order], 42, 8 + len(data))
    return (start + data + struct.pack(order + 'H', len(entries)) +
            b''.join(struct.pack(order + 'HHI', *entry[:3]) + entry[3] for entry in sorted(entries)) + b'\0' * 4)


def draw_pnm(pixels, white=65535):
    """A PGM of uint16 [H, W], or a PPM of RGB [H, W, 3]; white: the largest value, as its header has it."""
    header = 'P%d %d %d %d\n' % (5 if pixels.ndim == 2 else 6, pixels.shape[1], pixels.shape[0], white)
    return header.encode() + pixels.astype('>u2').tobytes()


def sixteen_bit_files(grey, rgb):
    """{kind: (file, what it holds)} of 16-bit pictures of every kind. grey: uint16 [H, W]; rgb: uint16 [H, W, 3]."""
    files = {'PGM': (draw_pnm(grey), grey), 'PPM': (draw_pnm(rgb), rgb),
             'text PGM': (('P2 %d %d 65535 ' % grey.shape[::-1] + ' '.join(map(str, grey.ravel()))).encode(), grey)}
    with_alpha = np.dstack([rgb, grey])
    for interlaced in (False, True):
        for kind, pixels, colour, values in (
                ('grey', grey, 0, grey), ('RGB', rgb, 2, rgb), ('RGBA', with_alpha, 6, rgb),
                ('grey and alpha', np.dstack([grey, grey[::-1]]), 4, grey)):
            files[f'{kind} PNG{", interlaced" * interlaced}'] = draw_png(pixels, colour, interlaced), values
    for order in '<>':
        for compressed in (False, True) if features.check('libtiff') else (False,):
            for kind, pixels, values in (('grey', grey, grey), ('RGB', rgb, rgb), ('RGBA', with_alpha, rgb)):
                files[f'{kind} TIFF {order}{", Deflate" * compressed}'] = draw_tiff(pixels, order, compressed), values
        for kind, pixels, values in (('grey', grey, grey), ('RGB', rgb, rgb), ('RGBA', with_alpha, rgb)):
            files[f'{kind} TIFF {order}, planes'] = draw_tiff_in_parts(pixels, order), values
    return files


def encode(image, kind, **options):
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def encode_sun(pixels):
    """A Sun raster file of uint8 RGB [H, W, 3] with an even width."""
    height, width = pixels.shape[:2]
    return struct.pack('>8I', 0x59a66a95, width, height, 24, pixels.size, 1, 0, 0) + pixels[..., ::-1].tobytes()


def encode_qoi(pixels):
    """A QOI file of uint8 RGB [H, W, 3], each pixel as it is."""
    height, width = pixels.shape[:2]
    whole = b''.join(b'\xfe' + pixel.tobytes() for pixel in pixels.reshape(-1, 3))
    return b'qoif' + struct.pack('>2I2B', width, height, 3, 0) + whole + b'\0' * 7 + b'\1'


def pictures_of_all_formats(pixels):
    """{format: file} of every format that is read, of uint8 RGB [H, W, 3]; Pillow cannot write two of them."""
    image, options = Image.fromarray(pixels), {'JPEG': {'quality': 98, 'subsampling': 0}, 'WEBP': {'lossless': True},
                                               'AVIF': {'quality': 100, 'subsampling': '4:4:4'}}
    by_hand = {'SUN': encode_sun, 'QOI': encode_qoi}
    return {kind: by_hand[kind](pixels) if kind in by_hand else encode(image, kind, **options.get(kind, {}))
            for kind in image_files.FORMATS}


def photo():
    """uint8 [H, W, 3]: a gradient with some noise, so that every format has something to compress."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([8 * x, 10 * y, 4 * x + 4 * y], -1)
    return np.clip(smooth + np.random.RandomState(0).randint(-9, 9, smooth.shape), 0, 255).astype('uint8')


def label_map():
    labels = np.random.RandomState(1).randint(0, 3, (HEIGHT, WIDTH)).astype('uint8')
    labels[:, :12] = 1
    labels[5:9] = 255
    return labels


def turning():
    """EXIF data of a camera held upright."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, 'maker'
    return exif.tobytes()


def jpegs():
    image = Image.fromarray(photo())
    return {'baseline.jpg': encode(image, 'JPEG'), 'progressive.jpg': encode(image, 'JPEG', progressive=True),
            'grey.jpg': encode(image.convert('L'), 'JPEG'), 'cmyk.jpg': encode(image.convert('CMYK'), 'JPEG'),
            'turned.jpg': encode(image, 'JPEG', exif=turning())}


def pngs():
    colours, labels = photo(), label_map()
    grey = colours[..., 0]
    return {'rgb.png': draw_png(colours, 2), 'palette.png': draw_png(labels, 3), 'grey.png': draw_png(grey, 0),
            '16 bit.png': draw_png(grey.astype('uint16') * 257, 0), '48 bit.png': draw_png(colours * np.uint16(257), 2),
            'rgba.png': draw_png(np.dstack([colours, grey]), 6), 'grey and alpha.png': draw_png(colours[..., :2], 4),
            'interlaced.png': draw_png(colours, 2, True), '1 bit.png': encode(Image.fromarray(grey > 99), 'PNG'),
            'saved.png': encode(Image.fromarray(colours), 'PNG', pnginfo=None, dpi=(72, 72))}


def other_pictures():
    """All formats: a picture's name does not bind its contents."""
    image = Image.fromarray(photo())
    palette, grey = image.convert('P'), np.asarray(image.convert('L'))
    pictures = {'raw.tif': encode(image, 'TIFF'), '16 bit.tif': encode(Image.fromarray(grey.astype('uint16')), 'TIFF'),
                'palette.tif': encode(palette, 'TIFF'), 'palette.gif': encode(palette, 'GIF'),
                'animated.gif': encode(palette, 'GIF', save_all=True, append_images=[palette.rotate(180)]),
                'palette.bmp': encode(palette, 'BMP')}
    pictures.update((kind + '.tif', encode(image, 'TIFF', compression=kind))
                    for kind in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'jpeg') if features.check('libtiff'))
    if features.check('webp'):
        pictures.update({'turned.webp': encode(image, 'WEBP', exif=turning()),
                         'lossless.webp': encode(image, 'WEBP', lossless=True)})
    pictures['other.mpo'] = encode(image, 'MPO')
    pictures.update(('other.' + kind.lower(), data) for kind, data in pictures_of_all_formats(photo()).items())
    return pictures


def annotations():
    labels = label_map()
    bits = Image.fromarray(labels % 3)
    bits.putpalette(voc_palette().tobytes()[:12])
    return {'palette.png': draw_png(labels, 3), 'grey.png': draw_png(labels, 0),
            '16 bit.png': draw_png(labels.astype('uint16'), 0), 'interlaced.png': draw_png(labels, 3, True),
            '2 bit.png': encode(bits, 'PNG', bits=2), 'bits.png': encode(Image.fromarray(labels == 1), 'PNG')}
