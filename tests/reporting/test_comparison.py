"""fcn/reporting/comparison.py: how runs are named beside each other; what it draws is tested with whole runs."""
import pytest

from fcn.reporting.comparison import short_names


@pytest.mark.parametrize('folders, names', [
    (['logs/32s', 'logs/8s/'], ['32s', '8s']), (['a/logs', '/b/logs', 'c/d'], ['a/logs', 'b/logs', 'c/d']),
    (['x/a/logs', 'y/a/logs'], ['x/a/logs', 'y/a/logs']), (['logs', './logs'], ['logs', 'logs'])])
def test_names_tell_runs_apart(folders, names):
    assert short_names(folders) == names
