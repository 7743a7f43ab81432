"""fcn/data/alike.py: names that look the same, as macOS and the others write them."""
from fcn.data.alike import Names, by_look, composed

NFC, NFD = 'caf\u00e9', 'cafe\u0301'


def test_names_that_look_alike_are_one():
    assert composed(NFD) == NFC and composed('cafe') == 'cafe'
    for there, asked in ((NFC, NFD), (NFD, NFC), (NFC, NFC), (NFD, NFD)):
        assert Names([there, 'cafe']).find(asked) == there
    assert Names([NFC]).find('cafe') is None and Names(['cafe']).find(NFC) is None
    assert Names(['\ud55c']).find('\u1112\u1161\u11ab') == '\ud55c', 'Hangul'


def test_two_files_that_look_alike_are_two():
    assert by_look([NFC, NFD, 'cafe', 'u\u0308']) == {NFC: None, '\u00fc': 'u\u0308'}
    both = Names([NFC, NFD])
    assert both.find(NFC) == NFC and both.find(NFD) == NFD
    assert Names(['\u1e69', 's\u0323\u0307']).find('s\u0307\u0323') is None, 'which of the two is not known'
