"""Writes what a test leaves beside the page: scores, confusion matrix, each image's scores, the model card."""
import os
from typing import Any, Dict, List

from fcn.config import Config, RunConfig
from fcn.inference import boundary, crf, metrics
from fcn.reporting import manifest, model_card, result_files
from fcn.utils.files import make_folder, remove

CRF_NAMES = ('crf/metrics.txt', 'crf/metrics.json')


def write_test(found: Any, prefix: str, config: Config, run: RunConfig, dataset: Any, defaults: Dict[str, Any]
               ) -> List[str]:
    """Prints the scores of a test, and writes them to --results_dir.

    Args:
      found: the `EvaluationResult` of the images in `dataset.validation`.
      prefix: of the checkpoint.
      config: of the command.
      run: of the run that trained the checkpoint.
      dataset: the `Dataset` that was tested on.
      defaults: {name: default} of all flags.

    Returns:
      paths of the scores and the model card.

    Raises:
      InputError: something cannot be written.
    """
    results_dir, prediction = config.folders.results_dir, config.prediction

    def compute(confusion, bands):
        scores = metrics.compute(confusion, dataset.class_names, len(dataset.validation), dataset.ignore_label,
                                 dataset.ignored_classes)
        return dict(scores, boundary=boundary.compute(bands, dataset.class_names, dataset.ignore_label),
                    split=dataset.split)
    result = compute(found.confusion, found.bands)
    print('\n'.join(metrics.table_lines(result) + [''] + metrics.summary_lines(result)
                    + [boundary.summary_line(result['boundary'])]
                    + ['Pixelwise loss: ' + ('n/a' if found.loss is None else f'{found.loss:.4f}')]))
    origin = manifest.origin(config.folders.log_dir, prefix, dict(
        config.how_to_predict(dataset, run), data_dir=config.data.data_dir, split=dataset.split,
        crf=found.refined_confusion is not None and prediction.crf_parameters))
    make_folder(results_dir)
    with manifest.writing_together(results_dir, result_files.TEST_NAMES + CRF_NAMES + (model_card.NAME,), origin):
        written = metrics.write(result, results_dir, origin)
        if found.refined_confusion is not None:
            refined = compute(found.refined_confusion, found.refined_bands)
            print('\n'.join(['', 'With the dense CRF:'] + metrics.summary_lines(refined)
                            + [boundary.summary_line(refined['boundary'])]))
            written += metrics.write(refined, os.path.join(results_dir, 'crf'), origin)
            large = sum(pixels > crf.MOST_PIXELS for pixels in found.image_pixels)
            if large:
                print(f'({large} images of more than {crf.MOST_PIXELS} pixels are in it as they were predicted.)')
        else:  # those of an earlier test
            for name in CRF_NAMES:
                remove(os.path.join(results_dir, name))
        result_files.write_confusion(
            os.path.join(results_dir, 'confusion_matrix.csv'), found.confusion, dataset.class_names)
        result_files.write_image_scores(os.path.join(results_dir, 'images.csv'), [
            (record['filename'],) + scores for record, scores in zip(dataset.validation, found.image_scores)])
        model = model_card.ScoredModel(dataset, prefix, result, found.loss, config.data.data_dir,
                                       prediction.averaged_over, prediction.undo_class_weights)
        return written + [model_card.write(results_dir, model, run, defaults)]
