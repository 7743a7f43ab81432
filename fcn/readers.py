"""The data sets' readers, by the name that --dataset has for each."""
import read_CamVidData
import read_CityscapesData
import read_MITSceneParsingData
import read_PascalVocData
import read_ShapesData

READERS = {'camvid': read_CamVidData, 'cityscapes': read_CityscapesData, 'mit_scene_parsing': read_MITSceneParsingData,
           'pascal_voc': read_PascalVocData, 'shapes': read_ShapesData}
