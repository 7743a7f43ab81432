"""fcn/training/speed.py against what was measured: rows of benchmarks/results and docs/speed.md."""
import pytest

from fcn.training import speed

AMX = 0.75  # seconds of a core for a step of 4 crops of 320×320: fine_tune_screening.csv


@pytest.mark.parametrize('step, images, side, expected', [(8 / 25.9, 8, 224, 11.2), (1.0, 8, 224, 17.5)])
def test_what_else_takes_time(step, images, side, expected):
    pace = speed.megapixels_per_s(step, images, side)
    assert pace == pytest.approx(images * side ** 2 / 1e6 / step)
    assert speed.start_seconds(pace) == pytest.approx(expected, rel=0.1)  # bench_epyc_avx512.csv: 9.2 + 2
    assert speed.validation_seconds(1.3, 50, 0.1875) == pytest.approx(3 + 50 / 23.84, rel=0.1)  # its row of test
    assert speed.decoding_seconds(4, 0.1875, 2) == pytest.approx(0.002, rel=0.1)


@pytest.mark.parametrize('images, side, classes, measured', [
    (1, 224, 21, 1500), (8, 224, 21, 1900), (32, 224, 21, 3800), (2, 768, 21, 3400), (8, 224, 151, 3300)])
def test_memory_is_what_was_measured(images, side, classes, measured):
    """docs/speed.md, What growth costs."""
    assert speed.memory_megabytes(images, side, classes) == pytest.approx(measured, rel=0.12)


@pytest.mark.parametrize('step, steps, validations, minutes', [
    (AMX, 1250, 3, (16.6, 16.6)),  # fine_tune.csv
    (AMX, 600, 2, (7.2, 7.8)),  # fine_tune_screening.csv
    (0.585, 1080, 0, (10, 12)), (0.853, 1080, 0, (15, 17))])  # recipe_1080_steps.csv
def test_whole_trainings_take_what_was_measured(step, steps, validations, minutes):
    pace = speed.megapixels_per_s(step, 4, 320)
    seconds = (speed.start_seconds(pace) + steps * step + validations * speed.validation_seconds(pace, 50, 0.1728))
    assert 0.94 * minutes[0] < seconds / 60 < 1.06 * minutes[1]
