"""fcn/inference/saved_model.py: the name that people's scripts import; the rest is tested with whole runs."""
from fcn.inference import saved_model


def test_scripts_import_exported_by_its_first_name():
    from fcn.export import Exported
    assert Exported is saved_model.Exported
