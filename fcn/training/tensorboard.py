"""Makes what TensorBoard shows beside curves: the run's flags as text, a layout of charts, a confusion matrix."""
from typing import Any, Dict

from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.text import summary as text

from fcn.utils.errors import printable

# Title of a chart: regular expression of the tags that it shows.
OVERVIEW = (('Loss, training and validation', '^pixelwise_loss$'), ('Validation mean IoU', '^mean_iou$'),
            ('Learning rate', '^learning_rate$'), ('Images per second', '^images_per_s$'))


def flags_summary(values: Dict[str, Any]) -> Any:
    """Returns a `Summary` of a run's flags, a dict, as a table for the tab 'Text'."""
    def cell(value):
        return printable(str(value)).replace('|', '\\|')
    lines = ['| flag | value |', '| --- | --- |']
    return text.pb('flags', '\n'.join(lines + ['| %s | `%s` |' % (name, cell(value))
                                               for name, value in sorted(values.items())]))


def layout_summary() -> Any:
    """Returns a `Summary` of the layout for the tab 'Custom scalars': the curves to look at first, then the classes."""
    def charts(titled):
        return [layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag]))
                for title, tag in titled]
    return custom_scalar.pb(layout_pb2.Layout(category=[
        layout_pb2.Category(title='Overview', chart=charts(OVERVIEW)),
        layout_pb2.Category(title='Classes', chart=charts([('IoU of each class', '^class_iou/')]))]))
