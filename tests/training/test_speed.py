"""fcn/training/speed.py against what was measured: rows of benchmarks/results and docs/speed.md."""
import pytest

from fcn.training import speed
from fcn.training.machine import Machine

AMX = Machine(1, 'AMX', 'bfloat16')
AMD = Machine(1, 'AVX-512 of AMD', 'bfloat16')


@pytest.mark.parametrize('machine, mixed, images, side, classes, measured', [
    (AMX, True, 4, 320, 11, 0.75),  # fine_tune_screening.csv
    (AMD, True, 4, 320, 11, 0.6),  # recipe_1080_steps.csv
    (AMD, False, 4, 320, 11, 0.85),  # the same
    (Machine(2, 'AVX-512 of AMD', 'bfloat16'), True, 8, 224, 21, 8 / 25.9),  # bench_epyc_avx512.csv
    (Machine(2, 'AVX-512 of AMD', 'bfloat16'), False, 8, 224, 21, 8 / 18.3),
    (Machine(2, 'AVX-512', None), True, 8, 224, 21, 8 / 10.46),  # bench_xeon.csv
    (Machine(2, 'AVX2', None), True, 8, 224, 21, 8 / 4.46),  # bench_epyc_avx2.csv
    (Machine(2, 'AVX2', None, has_old_tensorflow=True), False, 8, 224, 21, 2.79),  # speed_decisions.csv
    (Machine(2, 'AVX-512', None, has_old_tensorflow=True), False, 8, 224, 21, 1.46),
    (Machine(2, 'AVX-512 of AMD', 'bfloat16'), False, 8, 224, 151, 8 / 7.6)])  # docs/growth.png
def test_steps_take_what_was_measured(machine, mixed, images, side, classes, measured):
    found = speed.step_seconds(speed.megapixels_per_s(machine, mixed), images, side, classes)
    assert found == pytest.approx(measured, rel=0.12)


def test_what_else_takes_time():
    amd = speed.megapixels_per_s(Machine(2, 'AVX-512 of AMD', 'bfloat16'), True)
    assert speed.start_seconds(amd) == pytest.approx(9.2 + 2, rel=0.1)  # bench_epyc_avx512.csv
    assert speed.validation_seconds(amd, 50, 0.1875, 21) == pytest.approx(3 + 50 / 23.84, rel=0.1)  # its row of test
    assert speed.step_seconds(1, 4, 320, 21, decoded=12, cores=2) == pytest.approx(
        speed.step_seconds(1, 4, 320, 21) + 4 * 12 * speed.DECODING / 2)
    assert speed.time_of_classes(2) == speed.time_of_classes(21) == 1 < speed.time_of_classes(40) < 1.29


@pytest.mark.parametrize('images, side, classes, measured', [
    (1, 224, 21, 1500), (8, 224, 21, 1900), (32, 224, 21, 3800), (2, 768, 21, 3400), (8, 224, 151, 3300)])
def test_memory_is_what_was_measured(images, side, classes, measured):
    """docs/speed.md, What growth costs."""
    assert speed.memory_megabytes(images, side, classes) == pytest.approx(measured, rel=0.12)


def test_every_machine_has_a_speed():
    for processor in ('AMX', 'AVX-512 of AMD', 'AVX-512', 'AVX2', 'other'):
        for lower in (None, 'bfloat16'):
            for old in (False, True):
                machine = Machine(3, processor, lower, has_old_tensorflow=old)
                assert speed.megapixels_per_s(machine, True) >= speed.megapixels_per_s(machine, False) > 0
    assert speed.megapixels_per_s(Machine(1, 'other', 'float16', gpus=4), True) == speed.OF_ONE_GPU


@pytest.mark.parametrize('machine, mixed, steps, validations, minutes', [
    (AMX, True, 1250, 3, (16.6, 16.6)),  # fine_tune.csv
    (AMX, True, 600, 2, (7.2, 7.8)),  # fine_tune_screening.csv
    (AMD, True, 1080, 0, (10, 12)), (AMD, False, 1080, 0, (15, 17))])  # recipe_1080_steps.csv
def test_whole_trainings_take_what_was_measured(machine, mixed, steps, validations, minutes):
    pace = speed.megapixels_per_s(machine, mixed)
    seconds = (speed.start_seconds(pace) + steps * speed.step_seconds(pace, 4, 320, 11)
               + validations * speed.validation_seconds(pace, 50, 0.1728, 11))
    assert 0.94 * minutes[0] < seconds / 60 < 1.06 * minutes[1]
