"""fcn/data/stream.py: what is drawn is a pure function of seed and sample number, and spread as it should be."""
import numpy as np
import pytest

from fcn.data import stream


def test_draw_is_a_pure_function():
    """Whatever was drawn before; the numbers themselves are fixed, or a resumed run would go on with others."""
    forward = [stream.draw(3, number, 7) for number in range(30)]
    assert [stream.draw(3, number, 7) for number in reversed(range(30))] == forward[::-1]
    np.testing.assert_allclose(stream.draw(0, 0, 10), [8, 1.02178049, False, 0.73183468, 0.32708764, 1, 1, 1])
    np.testing.assert_allclose(stream.draw(0, 12345, 10), [5, 0.96686142, False, 0.23532430, 0.82342783, 1, 1, 1])


@pytest.mark.parametrize('count', [1, 2, 7])
def test_every_epoch_visits_each_record_once(count):
    orders = [[stream.draw(0, epoch * count + place, count).index for place in range(count)] for epoch in range(20)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert count < 7 or len(set(map(tuple, orders))) > 15, 'in orders of their own'


def test_seeds_draw_different_streams():
    streams = {tuple(stream.draw(seed, number, 9) for number in range(9)) for seed in range(5)}
    assert len(streams) == 5 and len({one.top for stream in streams for one in stream}) == 45


def test_draw_is_spread_as_it_should_be():
    samples = [stream.draw(0, number, 10) for number in range(1000)]
    scale, flip, top, left = (np.array(values, float) for values in list(zip(*samples))[1:5])
    assert 0.5 <= scale.min() < 0.52 and 1.95 < scale.max() <= 2
    assert 0.45 < np.mean(scale < 1) < 0.55, 'halving is as likely as doubling'
    assert 0.45 < flip.mean() < 0.55
    for place in (top, left):
        assert 0 <= place.min() < 0.01 and 0.99 < place.max() < 1 and abs(place.mean() - 0.5) < 0.05
    assert np.abs(np.corrcoef([scale, flip, top, left]) - np.eye(4)).max() < 0.1


def test_draw_without_augmentation():
    for number in range(20):
        plain, sample = stream.draw(1, number, 5, augment=False), stream.draw(1, number, 5)
        assert plain == sample._replace(scale=1.0, flip=False)


def test_draw_within_given_limits():
    samples = [stream.draw(0, number, 10, random_scale=(0.8, 1.25), color_jitter=0.4) for number in range(1000)]
    scale, _, top, _, *colours = (np.array(values, float) for values in list(zip(*samples))[1:])
    assert 0.8 <= scale.min() < 0.81 and 1.23 < scale.max() <= 1.25
    for factors in colours:
        assert 0.6 <= factors.min() < 0.61 and 1.39 < factors.max() <= 1.4 and abs(factors.mean() - 1) < 0.05
    assert np.abs(np.corrcoef(colours) - np.eye(3)).max() < 0.1
    assert [one.top for one in samples] == [stream.draw(0, number, 10).top for number in range(1000)]


def test_draw_far_into_a_run():
    numbers = [2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40]
    assert len({stream.draw(0, number, 1000).top for number in numbers + [0, 1]}) == 6
