"""fcn/reporting/fonts.py: which font draws which letters, on systems whose fonts are known."""
import os

from fcn.reporting import fonts
from font_files import install


def chosen(words, bold=False):
    return [font.family for font in fonts.choose(words, bold)]


def test_dejavu_is_enough_for_most(monkeypatch, tmp_path):
    """For Arabic and Hebrew too; nothing is looked for, or once."""
    looks = install(monkeypatch, str(tmp_path), {'Blocks': '汽车'})
    for words in ('', 'car', 'été', 'Собака', 'σκύλος', 'כלב', 'كلب', r'\x1b', 'a\u200db\u3000c\n'):
        assert chosen(words) == fonts.families(words) == ['DejaVu Sans']
        assert fonts.split(words) == [(words, fonts.choose(words)[0].path)]
    assert not looks
    assert chosen('汽') == chosen('a车', bold=True) == ['DejaVu Sans', 'Blocks'] and len(looks) == 1


def test_the_fonts_that_have_most_of_the_letters_are_taken(monkeypatch, tmp_path):
    install(monkeypatch, str(tmp_path), {'A': '汽', 'B Serif': '汽车', 'C': '汽车', 'D': 'क', 'Last Resort': '汽车क개'})
    assert chosen('汽车') == ['DejaVu Sans', 'C']
    assert chosen('汽车 क') == ['DejaVu Sans', 'C', 'D']
    assert chosen('개') == ['DejaVu Sans'], 'a font of placeholders is none'


def test_texts_are_split_where_the_font_changes(monkeypatch, tmp_path):
    """A sign that both have, as a joiner, and a letter without a font stay with what is before them."""
    install(monkeypatch, str(tmp_path), {'A': 'क्', 'B': '汽车ab'})

    def split(words):
        return [(part, os.path.basename(path)[:6]) for part, path in fonts.split(words)]
    assert split('क्\u200dक dog') == [('क्\u200dक', 'A.ttf'), (' dog', 'DejaVu')]
    assert split('a 汽车ab 개') == [('a ', 'DejaVu'), ('汽车ab', 'B.ttf'), (' 개', 'DejaVu')]


def test_letters_that_no_font_has_are_told_once(monkeypatch, tmp_path, capsys):
    install(monkeypatch, str(tmp_path), {'A': '汽'})
    assert chosen('汽') == ['DejaVu Sans', 'A'] and not capsys.readouterr().out
    for words in ('汽车', '车', 'क'):
        chosen(words)
    said = capsys.readouterr().out
    assert said.startswith('note: no installed font has all letters of 汽车;') and said.count('note') == 1


def test_damaged_fonts_are_passed_over(monkeypatch, tmp_path):
    install(monkeypatch, str(tmp_path), {'A': '汽', 'B': '汽'})
    (tmp_path / 'A.ttf').write_bytes(b'no font')
    assert chosen('汽') == ['DejaVu Sans', 'B']
