"""The report's page in Chromium, opened from disk: filter, sort, larger view, keyboard, phone, no script; no network.

Needs selenium (Python 3.10+) and Debian's chromium and chromium-driver. Skipped without them, unless the environment
variable FCN_REQUIRE_BROWSER is 1: then their absence is a failure.
"""
import json
import os
import shutil
import sys

import numpy as np
import pytest

from fcn.data.palettes import voc_palette
from fcn.inference import metrics
from fcn.reporting import result_files
from fcn.reporting.page import write as write_page
from fcn.reporting.panels import save_panel
from fcn.utils.errors import printable

REQUIRED = os.environ.get('FCN_REQUIRE_BROWSER') == '1'
MISSING = [name for name in ('chromium', 'chromedriver') if not shutil.which(name)]
try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select
except ImportError:
    MISSING.append('selenium')
REASON = 'THE REPORT IS NOT TESTED IN A BROWSER: no %s here' % ' and no '.join(MISSING)
if sys.version_info < (3, 10):
    REASON = 'selenium needs Python 3.10: a later Python tests the report in a browser'
pytestmark = pytest.mark.skipif(bool(MISSING) and not (REQUIRED and sys.version_info >= (3, 10)), reason=REASON)

NAMES = ['sky', 'tree', 'car', 'person', 'never seen']
NASTY = '<img src=x onerror=alert(1)>"\'</script>\n\ud800'
PHONE = (375, 812)
OPTIONS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync',
           '--host-resolver-rules=MAP * ~NOTFOUND')
PICTURES = [  # name, predicted, true, mean IoU
    ('street', [0, 2], [0, 2], 0.9), ('park', [0, 1], [0, 1, 3], 0.4), ('crowd', [3], [3], 0.7),
    ('forest', [1], [1], 0.5), (NASTY, [2, 3], [0], 0.1), ('photo', [0, 1, 2], [], None)]


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """Path of a page with six pictures."""
    folder = str(tmp_path_factory.mktemp('results'))
    palette, pictures = voc_palette(), []
    for number, (name, predicted, true, iou) in enumerate(PICTURES):
        labels = np.repeat(np.array(predicted, 'uint8'), 12)[np.newaxis].repeat(30, 0)
        save_panel(os.path.join(folder, 'pic_%d.png' % number), [('Prediction', labels)] * 4, NAMES, palette,
                   title=name)
        pictures.append({'name': name, 'panel': 'pic_%d.png' % number, 'pixel_accuracy': iou, 'mean_iou': iou,
                         'classes': [{'name': NAMES[label], 'share': 1 / len(predicted),
                                      'colour': [int(part) for part in palette[label]]} for label in predicted],
                         'truth_classes': [NAMES[label] for label in true]})
    with open(os.path.join(folder, 'pictures.json'), 'w') as file:
        json.dump({'checkpoint': 'logs/all/model.ckpt-600', 'pictures': pictures}, file)
    result_files.write_image_scores(os.path.join(folder, 'images.csv'),
                              [(name, iou, iou) for name, _, _, iou in PICTURES] + [('not drawn', 0.3, 0.3)])
    confusion = np.diag([50, 40, 30, 10, 0]) + np.array([[0, 2, 3, 4, 0]] * 4 + [[0] * 5])
    result_files.write_confusion(os.path.join(folder, 'confusion_matrix.csv'), confusion, NAMES)
    metrics.write(metrics.compute(confusion, NAMES, 7), folder)
    with open(os.path.join(folder, 'progress.jsonl'), 'w') as file:
        file.writelines('{"step": %d, "loss": %f}\n' % (step, 9 / step) for step in range(1, 50))
    title = 'A run ' + 'with_a_name_that_does_not_end_' * 4
    return write_page(folder, folder, title, NAMES, palette, {'flag': NASTY})


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
    assert not MISSING, REASON
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which('chromium')
    for option in OPTIONS + ('--user-data-dir=%s' % tmp_path_factory.mktemp('chromium'),):
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which('chromedriver')))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, page):
    """Chromium with the page just opened; in the end nothing may have been complained of or fetched."""
    look(chromium)
    chromium.get('about:blank')
    chromium.get_log('performance')
    chromium.get_log('browser')
    chromium.get('file://' + page)
    yield chromium
    assert chromium.get_log('browser') == []
    sent = [json.loads(entry['message'])['message'] for entry in chromium.get_log('performance')]
    urls = [one['params']['request']['url'] for one in sent if one['method'] == 'Network.requestWillBeSent']
    assert {url.split('#')[0] for url in urls if not url.startswith('data:')} == {'file://' + page}


def look(driver, size=(1280, 900), dark=False, media='screen'):
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
        'width': size[0], 'height': size[1], 'deviceScaleFactor': 1, 'mobile': size == PHONE})
    driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': media, 'features': [
        {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
        {'name': 'prefers-reduced-motion', 'value': 'reduce'}]})


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def shown(browser):
    """Names of the pictures that are shown, in order."""
    cards = [card for card in browser.find_elements(By.CSS_SELECTOR, '.picture') if card.is_displayed()]
    return [card.get_attribute('data-name') for card in cards]


def names(*places):
    return [printable(PICTURES[place][0]) for place in places]


def focused(browser):
    return browser.switch_to.active_element


def press(browser, *keys):
    for key in keys:
        focused(browser).send_keys(key)


def viewed(browser):
    """The name that the larger view shows, or None where it is closed."""
    dialog = find(browser, 'dialog')
    return dialog.find_element(By.CSS_SELECTOR, '.about h3').text if dialog.is_displayed() else None


def test_all_pictures_are_shown_at_first(browser):
    assert shown(browser) == names(0, 1, 2, 3, 4, 5)
    assert find(browser, '.status').text == '6 pictures'


@pytest.mark.parametrize('label', range(4))
def test_filter_by_class(browser, label):
    """Shown are exactly the pictures in which the class is predicted or true."""
    expected = [place for place, (_, predicted, true, _) in enumerate(PICTURES) if label in predicted + true]
    select = Select(find(browser, '#class'))
    assert len(select.options) == 5, 'classes that no picture shows are not offered'
    select.select_by_visible_text('%s (%d)' % (NAMES[label], len(expected)))
    assert shown(browser) == names(*expected)
    assert find(browser, '.status').text == '%d of 6 pictures' % len(expected)
    select.select_by_index(0)
    assert len(shown(browser)) == 6


def test_filter_by_words(browser):
    words = find(browser, '#words')
    words.send_keys('PARK')
    assert shown(browser) == names(1)
    words.clear()
    words.send_keys('ers')  # person
    assert shown(browser) == names(1, 2, 4)
    Select(find(browser, '#class')).select_by_visible_text('car (3)')
    assert shown(browser) == names(4)
    words.send_keys(' (')
    assert shown(browser) == [] and find(browser, '.status').text == '0 of 6 pictures'


@pytest.mark.parametrize('order, places', [('worst', [4, 1, 3, 2, 0, 5]), ('best', [0, 2, 3, 1, 4, 5]),
                                           ('accuracy', [4, 1, 3, 2, 0, 5]), ('name', [4, 2, 3, 1, 5, 0]),
                                           ('drawn', [0, 1, 2, 3, 4, 5])])
def test_order(browser, order, places):
    Select(find(browser, '#order')).select_by_value('name')
    Select(find(browser, '#order')).select_by_value(order)
    assert shown(browser) == names(*places)


def test_larger_view_by_keyboard(browser):
    Select(find(browser, '#order')).select_by_value('worst')
    find(browser, '#order').send_keys(Keys.TAB)
    assert 'shot' in focused(browser).get_attribute('class')
    press(browser, Keys.ENTER)
    assert viewed(browser) == names(4)[0]
    assert find(browser, '.tools p').text == '1 of 6'
    natural = browser.execute_script('return document.querySelector(".view img").naturalWidth')
    assert natural == int(find(browser, '.shot img').get_dom_attribute('width'))
    press(browser, Keys.ARROW_LEFT)
    assert viewed(browser) == names(4)[0], 'nothing is before the first'
    walked = []
    for _ in range(6):
        press(browser, Keys.ARROW_RIGHT)
        walked.append(viewed(browser))
    assert walked == names(1, 3, 2, 0, 5, 5)
    press(browser, Keys.ARROW_LEFT)
    assert viewed(browser) == names(0)[0]
    press(browser, Keys.ESCAPE)
    assert viewed(browser) is None
    assert focused(browser).find_element(By.XPATH, '..').get_attribute('data-name') == names(0)[0]


def test_larger_view_walks_what_is_shown(browser):
    Select(find(browser, '#class')).select_by_visible_text('tree (3)')
    find(browser, '.picture:not([hidden]) .shot').click()
    assert viewed(browser) == names(1)[0]
    find(browser, '[data-step="1"]').click()
    assert viewed(browser) == names(3)[0] and find(browser, '.tools p').text == '2 of 3'
    find(browser, '[data-step="1"]').click()
    assert find(browser, '[data-step="1"]').get_attribute('aria-disabled') == 'true'
    assert find(browser, '[data-step="-1"]').get_attribute('aria-disabled') == 'false'
    find(browser, '[data-close]').click()
    assert viewed(browser) is None


def test_larger_view_of_a_plot(browser):
    find(browser, '#confusion .zoom').click()
    assert find(browser, 'dialog').is_displayed() and 'Confusion' in find(browser, '.tools p').text
    assert not find(browser, '[data-step="1"]').is_displayed()
    press(browser, Keys.ARROW_RIGHT, Keys.ESCAPE)
    assert not find(browser, 'dialog').is_displayed()


def test_links_of_the_worst_images(browser):
    """A link leads to its picture, and shows it where it was filtered out."""
    Select(find(browser, '#class')).select_by_visible_text('car (3)')
    link = find(browser, '#images a[href="#picture-1"]')
    assert link.text == 'park'
    link.send_keys(Keys.ENTER)
    assert shown(browser) == names(0, 1, 2, 3, 4, 5)
    top = browser.execute_script('return document.getElementById("picture-1").getBoundingClientRect().top')
    assert -1 < top < 300
    assert 'not drawn' in find(browser, '#images').text


def test_class_table_sorts_by_keyboard(browser):
    def column(place):
        cells = browser.find_elements(By.CSS_SELECTOR, '.sortable tbody tr > :nth-child(%d)' % place)
        return [cell.text for cell in cells]

    assert column(1) == NAMES
    buttons = browser.find_elements(By.CSS_SELECTOR, '.sortable button')
    assert [button.text for button in buttons] == ['Class', 'IoU', 'Accuracy', 'Pixels']
    buttons[1].send_keys(Keys.ENTER)
    numbers = [float(text) for text in column(2)[:4]]
    assert numbers == sorted(numbers, reverse=True) and column(2)[4] == 'n/a'
    assert find(browser, '[aria-sort]').get_attribute('aria-sort') == 'descending'
    buttons[1].send_keys(Keys.SPACE)
    assert [float(text) for text in column(2)[:4]] == sorted(numbers) and column(1)[4] == 'never seen'
    buttons[0].send_keys(Keys.ENTER)
    assert column(1) == sorted(NAMES)
    assert len(browser.find_elements(By.CSS_SELECTOR, '[aria-sort]')) == 1


def test_what_has_the_focus_can_be_seen(browser):
    kinds = set()
    for _ in range(40):
        press(browser, Keys.TAB)
        element = focused(browser)
        if element.tag_name == 'body':
            break
        assert element.value_of_css_property('outline-style') == 'solid', element.get_attribute('outerHTML')[:200]
        kinds.add(element.tag_name)
    assert kinds == {'a', 'button', 'div', 'select', 'input', 'summary'}


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('size', [PHONE, (320, 600), (768, 1024), (1280, 900)])
def test_no_sideways_scroll(browser, size, dark):
    look(browser, size, dark)
    beyond = 'const one = document.querySelector("%s"); return one.scrollWidth - one.clientWidth'
    assert browser.execute_script(beyond % 'html') == 0
    browser.execute_script('document.querySelectorAll("details").forEach(one => { one.open = true; })')
    assert browser.execute_script(beyond % 'html') == 0
    find(browser, '#picture-4 .shot').send_keys(Keys.ENTER)
    assert viewed(browser) == names(4)[0]
    assert browser.execute_script(beyond % 'dialog') == 0


def test_dark_plots_on_a_dark_screen(browser):
    sources = []
    for dark in (False, True):
        look(browser, dark=dark)
        sources.append(browser.execute_async_script(
            'const image = document.querySelector(".plot img"), done = arguments[0];'
            'requestAnimationFrame(() => setTimeout(() => done([image.currentSrc, image.naturalWidth]), 50))'))
    assert sources[0][0] != sources[1][0] and sources[0][1] == sources[1][1] > 300


def test_print(browser):
    look(browser, media='print')
    assert not find(browser, 'form').is_displayed() and not find(browser, 'nav').is_displayed()
    assert len(shown(browser)) == 6


def test_without_scripts(browser, page):
    """All is shown, and pictures are links to their files."""
    browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': True})
    try:
        browser.get('file://' + page)
        assert shown(browser) == names(0, 1, 2, 3, 4, 5)
        assert not find(browser, 'form').is_displayed() and not find(browser, 'dialog').is_displayed()
        assert find(browser, '.shot').get_attribute('href') == 'file://' + os.path.dirname(page) + '/pic_0.png'
        assert not [button for button in browser.find_elements(By.CSS_SELECTOR, 'button') if button.is_displayed()]
    finally:
        browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': False})


def test_scripts_within_names_do_not_run(browser):
    """The policy would stop them even if they were not escaped."""
    assert browser.execute_script('return document.scripts.length') == 1
    assert '<img src=x' in find(browser, '#picture-4 h3').text
    browser.execute_script('document.body.insertAdjacentHTML("beforeend", "<p onclick=\'window.ran = 1\' id=p>p</p>");'
                           'document.getElementById("p").click()')
    assert browser.execute_script('return window.ran === undefined')
    assert 'Content Security Policy' in browser.get_log('browser')[0]['message']
