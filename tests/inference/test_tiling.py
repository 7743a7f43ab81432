"""fcn/inference/tiling.py and tiled prediction: a tile's edge cannot be seen."""
import numpy as np
import pytest
from PIL import Image

from conftest import network_config
from fcn.data import datasets
from fcn.distributed.cluster import Cluster
from fcn.distributed.workers import SingleWorker
from fcn.inference import predictor as predictor_module
from fcn.inference import tiling
from TensorflowUtils import tf


@pytest.mark.parametrize('length', [1, 75, 1024, 1025, 1537, 2048, 2049, 5000])
def test_tiles_cover_every_pixel_once(length):
    tiles = tiling.tiles(length, 1024, 256)
    covered = [place for tile in tiles for place in range(tile.write.start, tile.write.stop)]
    assert covered == list(range(length)) and (len(tiles) == 1) == (length <= 1024)
    for tile in tiles:
        assert tile.read.start % tiling.STRIDE == 0 and tile.read.stop - tile.read.start <= 1024
        assert tile.read.start + tile.crop.start == tile.write.start
        assert tile.read.start + tile.crop.stop == tile.write.stop
        assert tile.write.start == 0 or tile.crop.start == 256
        assert tile.write.stop == length or tile.read.stop - tile.write.stop == 256
    assert tiling.tiles(length, 0, 256)[0].write == slice(0, length)


@pytest.mark.parametrize('scales, grid', [((1,), 32), ((0.75, 1.5), 128), ((0.8, 1, 1.1), 320), ((0.77,), 32)])
def test_tiles_begin_where_the_grid_of_all_scales_does(scales, grid):
    assert tiling.grid_of(scales, 2048) == grid
    tiles = tiling.tiles(9000, 2048, 256, grid)
    assert [place for tile in tiles for place in range(tile.write.start, tile.write.stop)] == list(range(9000))
    for tile in tiles:
        assert tile.read.start % grid == 0 and tile.read.stop - tile.read.start <= 2048
        assert tile.write.start == 0 or tile.crop.start >= 256
        assert tile.write.stop == 9000 or tile.read.stop - tile.write.stop >= 256
        if grid > tiling.STRIDE:
            assert all(round(tile.read.start * scale, 6) % tiling.STRIDE == 0 for scale in scales)


def test_tiles_of_any_scales_come_to_the_end():
    for percent in range(25, 301):
        grid = tiling.grid_of((percent / 100,), 1024)
        assert len(tiling.tiles(5000, 1024, 256, grid)) < 5000 / tiling.STRIDE


def test_tiled_prediction_equals_whole(tmp_path, monkeypatch):
    """Away from a tile's margin the network sees what it would have seen: same labels, all but same probabilities."""
    path = str(tmp_path / 'photo.png')
    ramp = np.linspace(0, 255, 900)[None, :, None] * np.ones((160, 1, 3))
    noise = np.random.RandomState(0).uniform(-60, 60, (160, 900, 3))
    Image.fromarray(np.clip(ramp + noise, 0, 255).astype('uint8')).save(path)
    dataset = datasets.Dataset('test', [], [], ['class %d' % label for label in range(7)], 255, None, None)
    config = network_config(num_classes=7)
    monkeypatch.setattr(predictor_module, 'MARGIN', 192)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        predictor = predictor_module.Predictor([datasets.record(path)], dataset, config, Cluster(SingleWorker()))
        session.run(tf.global_variables_initializer())
        (whole,) = predictor.predict(session, lambda _: True)
        (tiled,) = predictor.predict(session, lambda _: True, tile_size=640)
    assert whole.labels.shape == (160, 900) and (whole.image == tiled.image).all()
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=0.02)
    assert (tiled.labels == whole.labels).mean() > 0.98
    edge = tiled.probabilities[:, 440:456]  # of the first tile: 640 - 192 = 448
    assert np.abs(edge - whole.probabilities[:, 440:456]).max() < 0.02
