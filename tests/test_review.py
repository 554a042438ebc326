"The review page in a browser, by doing the work; corrections kept and honoured; folders exported."
import csv
import io
import json
import os
import re
import shutil
import zipfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.cluster import Birch

from mnist_clustering import images as room_of_images
from mnist_clustering.agglomerative import Ward
from mnist_clustering.communities import closest_pairs, loosest_clusters, neighbor_graph, tree_of_clusters
from mnist_clustering.data import load_mnist
from mnist_clustering.features import PixelFeatures
from mnist_clustering.images import load_images
from mnist_clustering.kmeans import CLUSTERERS, Clusterer
from mnist_clustering.model import ClusterModel
from mnist_clustering.own_run import OwnRun, cluster_images, write_own_run
from mnist_clustering.review import (
    LEFT,
    Corrections,
    apply_corrections,
    export_folders,
    folder_name,
    folder_names,
    read_corrections,
    write_review,
)
from mnist_clustering.scale import write_csv
from mnist_clustering.store import read_manifest

TEST = load_mnist()[1]
ODD = ['</script><b id=bad>', '"quoted" & <i>', 'two\nlines', 'half \ud800 letter', '🙂', '\u202eright to left']
SHOWN = '''() => current().order.map(id => {
    const {title, name, none, members} = current().clusters.get(id)
    return [title, name, none, members.length]
})'''


def write(path, sizes=(40, 30, 20, 10), **changed):
    "A page of test digits: each cluster is of one digit and has two branches in the tree, of one and two thirds."
    digits = load_mnist()[1]
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    n = len(clusters)
    chosen = [np.flatnonzero(digits.labels == digit % 10)[:size] for digit, size in enumerate(sizes)]
    inner = [np.where(np.arange(size) == size // 3, 5, 1) for size in sizes]
    heights = np.concatenate(inner).astype(float)
    heights[np.flatnonzero(np.diff(clusters)) + 1] = 9
    parts = {
        'images': digits.images[np.concatenate(chosen)], 'clusters': clusters,
        'names': [f'scan {i}.png' for i in range(n)], 'digests': [f'd{i}' for i in range(n)],
        'confidence': np.linspace(0, 1, n), 'cluster_names': {}, 'order': np.arange(n), 'heights': heights[1:],
        'suggestions': [(0, 1, .9), (1, 2, .5), (2, 3, .4)], 'title': 'My scans'}
    write_review(path, **parts | changed)
    return path


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp('review') / 'review.html')


@pytest.fixture
def page(visit, made):
    page = visit(made)
    page.set_default_timeout(10_000)
    return page


def shown(page):
    "Title, name, none and size of each cluster, from the top."
    return page.evaluate(SHOWN)


def names(page):
    return [name for _, name, _, _ in shown(page)]


def sizes(page):
    return [size for _, _, _, size in shown(page)]


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def card(page, title):
    return page.locator('.card').filter(has=page.get_by_text(re.compile(f'(^|· ){title} ·')))


def tile(page, title, place):
    return card(page, title).locator('.tiles .picture').nth(place)


def saved(page, tmp_path, name='corrections.json'):
    "What the button saves."
    with page.expect_download() as waiting:
        page.get_by_role('button', name='Save').click()
    assert waiting.value.suggested_filename == 'corrections.json'
    waiting.value.save_as(tmp_path / name)
    return read_corrections(tmp_path / name)


def focused(page):
    "The part of the page where the keyboard is, and its cluster."
    return page.evaluate('''() => {
        const {className, id} = document.activeElement
        return [id || className, document.activeElement.closest('.card')?.cluster ?? null]
    }''')


# The work

def test_the_first_screen_says_what_to_do(page):
    assert page.get_by_text('Type what it shows, press Enter').is_visible()
    assert page.get_by_text('4 names left').is_visible()
    assert page.get_by_text('0 named (0 % of 100 images)').is_visible()
    assert page.get_by_text('You may skip this: 3 pairs, the closest first').is_visible()
    assert page.get_by_role('complementary', name='Keys').is_visible()
    assert sizes(page) == [40, 30, 20, 10]
    first = card(page, 'cluster 0').locator('.picture[role=option]').first
    assert first.get_attribute('aria-label') == 'scan 0.png, 0 % sure'


def test_names_by_the_keyboard_alone(page):
    press(page, 'Alt+l', 'n', 'n')
    assert focused(page) == ['suggestion', None]
    press(page, 'n')
    for name, place in (('nought', 0), ('one', 1), ('two', 2)):
        assert focused(page) == ['name', place]
        page.keyboard.type(name)
        press(page, 'Enter')
    assert page.get_by_text('1 name left').is_visible()
    assert page.get_by_text('3 named (90 % of 100 images)').is_visible()
    press(page, 'PageUp', 'PageUp', 'PageUp')
    assert focused(page) == ['name', 0]
    page.keyboard.type('not taken')
    press(page, 'Escape', 'Alt+l') # of which nothing is left
    assert page.get_by_text('No two clusters are left to compare').is_visible()
    press(page, 'PageDown', 'PageDown', 'ArrowUp', 'Enter') # from the images to the one that is left
    assert focused(page) == ['name', 3]
    page.keyboard.type('one')
    press(page, 'Enter')
    assert names(page) == ['nought', 'one', 'two', 'one']
    assert page.get_by_text('All clusters are named', exact=True).is_visible()
    assert focused(page) == ['save', None]


def test_letters_alone_change_nothing(page):
    page.keyboard.type('anyone, y n 0 ? gsmhcau')
    assert page.get_by_text('Press Enter, or click a field for a name').is_visible()
    page.get_by_role('button', name='Keys').click() # its place is no cluster
    page.keyboard.type('any')
    press(page, 'Tab', 'y', 'n') # to the next button
    assert page.evaluate('at') == 0 and sizes(page) == [40, 30, 20, 10]


def test_a_letter_on_the_images_begins_the_name(page):
    tile(page, 'cluster 1', 0).click()
    page.keyboard.type('any')
    assert focused(page) == ['name', 1] and page.get_by_text('1 selected').is_visible()
    press(page, 'Enter')
    assert shown(page) == [['cluster 0', None, False, 40], ['cluster 1', 'any', False, 30],
                           ['cluster 2', None, False, 20], ['cluster 3', None, False, 10]]
    press(page, 'PageUp', 'Escape')
    page.keyboard.type('+') # in the place of the old name
    press(page, 'Escape')
    assert names(page)[1] == 'any' # after all
    card(page, 'cluster 1').get_by_role('button', name='Split').focus()
    page.keyboard.type('7')
    press(page, 'Enter')
    assert names(page)[1] == '7' and page.evaluate('at') == 2


def test_alt_and_a_letter_is_the_button_where_it_is_underlined(page):
    press(page, 'Enter', 'Alt+a', 'Escape', ' ') # nought is shown whole, and one of its images is selected
    buttons = page.locator('.card button:visible, #selection button:has(u), #open, #asked, #fewer, #more').all()
    assert {'Not all', 'All', 'Split', 'Move to…', 'Keys', 'Move 1 here'} <= {each.inner_text() for each in buttons}
    for button in buttons:
        shortcut = button.get_attribute('aria-keyshortcuts')
        assert shortcut == f'Alt+{button.locator("u").inner_text().upper()}'
    page.locator('.name').nth(1).fill('one')
    press(page, 'Alt+s') # what was typed is taken first
    assert shown(page)[1:3] == [['cluster 1', 'one', False, 20], ['cluster 4', None, False, 10]]
    # on a Mac, Option and a letter write another one
    page.evaluate("""() => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {
        key: 'ß', code: 'KeyS', altKey: true, bubbles: true}))""")
    assert page.evaluate('at') == 2
    press(page, 'Escape')
    page.evaluate("""() => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {
        key: 'ß', code: 'KeyS', altKey: true, bubbles: true}))""")
    assert page.evaluate('at') == 3


def test_clusters_of_one_name_are_told_and_merged_by_a_button(page):
    for place in (0, 2, 3):
        page.locator('.name').nth(place).fill('same')
        press(page, 'Enter')
    assert page.get_by_text('now named same. cluster 0 has this name too').is_visible()
    assert page.locator('.also:visible').all_inner_texts() == [
        'also cluster 2 and 1 other\nmerge them', *['also cluster 0 and 1 other\nmerge them'] * 2]
    press(page, 'PageUp', 'Escape', 'Alt+n') # which is none of these, whatever name it had
    assert page.locator('.also:visible').all_inner_texts() == [
        'also cluster 3\nmerge them', 'also cluster 2\nmerge them']
    assert sizes(page) == [40, 30, 20, 10] # nothing is merged by itself
    card(page, 'cluster 3').get_by_role('button', name='Merge all clusters of this name').click()
    assert shown(page)[2:] == [['cluster 2', 'same', False, 30]] and focused(page) == ['name', 2]
    assert page.locator('.also:visible').count() == 0


@pytest.mark.parametrize('width', [390, 1280])
def test_a_note_covers_nothing(visit, tmp_path, width):
    page = visit(write(tmp_path / 'same.html', cluster_names=dict.fromkeys(range(4), 'a long name ' * 9)), width)
    boxes = page.evaluate("""() => [...document.querySelectorAll('.card')].map(card => {
        const parts = [...card.querySelectorAll('.also, .tiles')].map(part => part.getBoundingClientRect())
        const [button, box] = ['.join', '.info'].map(kind => card.querySelector(kind).getBoundingClientRect())
        return [parts[0].bottom - parts[1].top, parts[1].bottom - card.getBoundingClientRect().bottom,
            button.right - box.right]
    })""")
    assert len(boxes) > 1 and (np.array(boxes) <= 0).all()


def test_what_was_told_apart_is_not_suggested_again(page, visit, tmp_path):
    press(page, 'Alt+l', 'n')
    apart = saved(page, tmp_path).apart
    assert apart == [['d39', 'd69']] # the surest image of each
    digests = [f'd{i}' for i in range(100)]
    clusters = np.repeat([5, 6, 7], [40, 40, 20]) # clustered again; the pictures are in the same order
    parts = {'clusters': clusters, 'cluster_names': {}, 'suggestions': [(5, 6, .9), (6, 7, .8)]}
    corrections = read_corrections(tmp_path / 'corrections.json')
    again = visit(write(tmp_path / 'again.html', **parts, digests=digests, corrections=corrections))
    assert again.evaluate('openSuggestions(current()).map(([a, b]) => [a, b])') == [[1, 2]]
    assert saved(again, tmp_path, 'again.json').apart == apart
    other = visit(write(tmp_path / 'other.html', **parts, digests=digests[1:] + ['new']))
    other.locator('#file').set_input_files(tmp_path / 'corrections.json')
    other.get_by_text('opened from a file').wait_for()
    assert other.evaluate('openSuggestions(current()).map(([a, b]) => [a, b])') == [[1, 2]]
    other.evaluate("perform({kind: 'merge', from: 0, into: 1})") # which says the contrary
    assert saved(other, tmp_path, 'other.json').apart == []


def test_a_name_counts_also_when_the_field_is_left(page):
    page.locator('.name').first.fill('nought')
    page.locator('.name').nth(1).click()
    assert names(page)[0] == 'nought'
    page.locator('.name').first.fill('')
    press(page, 'Tab')
    assert names(page)[0] is None
    page.locator('.name').first.fill('nought')
    tile(page, 'cluster 0', 3).click() # which is not lost, though the card is drawn anew
    assert names(page)[0] == 'nought' and page.get_by_text('1 selected').is_visible()
    page.locator('.name').first.fill('zero')
    card(page, 'cluster 0').locator('u', has_text='S').click()
    assert shown(page)[:2] == [['cluster 0', 'zero', False, 27], ['cluster 4', None, False, 13]]
    page.locator('.name').nth(1).fill('left open')
    page.reload()
    assert names(page)[:2] == ['zero', 'left open']
    page.locator('.name').first.fill('saved')
    with page.expect_download():
        press(page, 'Control+s')
    assert names(page)[0] == 'saved'


def test_images_are_moved_by_clicks(page):
    tile(page, 'cluster 0', 0).click()
    tile(page, 'cluster 1', 2).click()
    assert page.get_by_text('2 selected').is_visible()
    tile(page, 'cluster 1', 2).click() # a second click takes it back
    page.get_by_role('button', name='Move the selected images to cluster 2').click()
    assert sizes(page) == [39, 30, 21, 10]
    assert tile(page, 'cluster 2', 0).get_attribute('title') == 'scan 70.png, 71 % sure' # those in doubt first
    assert tile(page, 'cluster 2', 20).get_attribute('title') == 'scan 0.png, put here by hand' # which is certain
    assert page.locator('.moved').count() == 1
    assert not page.locator('#selection').is_visible()


def test_images_are_dragged(page):
    page.get_by_role('button', name='Later').click()
    tile(page, 'cluster 0', 1).click()
    tile(page, 'cluster 0', 2).click()
    start, end = (tile(page, title, 1).bounding_box() for title in ('cluster 0', 'cluster 2'))
    page.mouse.move(start['x'] + 9, start['y'] + 9)
    page.mouse.down()
    page.mouse.move(start['x'] + 50, start['y'] + 50)
    page.mouse.move(end['x'] + 9, end['y'] + 9)
    assert page.locator('.card.target').get_attribute('aria-label') == 'cluster 2'
    assert page.locator('#ghost').inner_text() == '2'
    page.mouse.up()
    assert sizes(page) == [38, 30, 22, 10]
    start = tile(page, 'cluster 0', 0).bounding_box()
    page.mouse.move(start['x'] + 9, start['y'] + 9)
    page.mouse.down()
    page.mouse.move(end['x'] + 9, end['y'] + 9)
    press(page, 'Escape') # not after all
    page.mouse.up()
    assert sizes(page) == [38, 30, 22, 10]


def test_images_are_moved_by_the_keyboard(page):
    press(page, 'Enter', 'ArrowDown', 'ArrowRight', ' ', 'ArrowRight', ' ', 'Enter')
    page.keyboard.type('cluster 3')
    assert page.locator('#choices li').count() == 2 # that one, and a new cluster
    press(page, 'Enter')
    assert sizes(page) == [38, 30, 20, 12] and focused(page) == ['tiles', 0]
    press(page, ' ', 'Alt+c')
    page.keyboard.type('strange')
    press(page, 'Enter')
    assert shown(page)[1] == ['cluster 4', 'strange', False, 1]
    press(page, 'Escape', ' ', 'Escape', 'Enter')
    assert page.get_by_text('Select images first').is_visible()


def test_several_are_selected_with_shift(page):
    tile(page, 'cluster 0', 2).click()
    tile(page, 'cluster 0', 9).click(modifiers=['Shift'])
    assert page.get_by_text('8 selected').is_visible()
    press(page, 'Escape', 'Home', 'Shift+ArrowRight', 'Shift+ArrowRight', 'Shift+ArrowDown')
    selected = page.evaluate('[...selected].sort((a, b) => a - b)')
    assert selected == list(range(page.evaluate('sizes.columns') + 3))
    press(page, 'Escape', 'Control+a')
    assert page.get_by_text('40 selected').is_visible()
    press(page, 'Alt+h')
    assert page.get_by_text('in that cluster already').is_visible()


def test_suggestions_are_merged_or_dismissed(page):
    page.locator('.name').nth(1).fill('one')
    press(page, 'Escape', 'Alt+l', 'n')
    assert page.get_by_text('2 pairs, the closest first; 1 told apart').is_visible()
    page.get_by_role('button', name='Same: merge').click() # 1 and 2
    assert shown(page) == [[f'cluster {i}', None, False, size] for i, size in ((0, 40), (1, 50), (3, 10))]
    press(page, 'y') # what was near cluster 2 is near their union
    assert sizes(page) == [40, 60]
    assert not page.locator('#suggestion').is_visible()


def test_merging_keeps_the_name_and_any_two_can_be_merged(page):
    page.get_by_role('button', name='Later').click()
    assert not page.get_by_role('button', name='Same').is_visible()
    page.locator('.name').nth(3).fill('three')
    press(page, 'Alt+m')
    page.keyboard.type('0')
    press(page, 'Enter')
    others = [['cluster 1', None, False, 30], ['cluster 2', None, False, 20]]
    assert shown(page) == [*others, ['cluster 3', 'three', False, 50]]
    assert focused(page) == ['name', 3]


def test_a_split_is_the_next_cut_of_the_tree(page):
    page.locator('.name').first.fill('nought')
    press(page, 'Alt+s')
    assert shown(page)[:2] == [['cluster 0', 'nought', False, 27], ['cluster 4', None, False, 13]]
    first = page.evaluate('[...current().clusters.get(4).members].map(image => run.digests[image])')
    assert first == [f'd{i}' for i in range(13)]
    tile(page, 'cluster 4', 0).click()
    press(page, 'Alt+c', 'Escape', 'Alt+s')
    assert page.get_by_text('One image cannot be split').is_visible()


def test_none_of_these(page):
    press(page, 'Enter', 'Escape', 'Alt+n')
    assert shown(page)[0] == ['cluster 0', None, True, 40]
    assert page.get_by_text('3 names left').is_visible()
    assert page.get_by_text('0 named (0 % of 100 images), 40 % none of these').is_visible()
    press(page, 'Alt+n')
    assert shown(page)[0][2] is False


# Fewer and more

def framed(page):
    "The titles of the clusters that the last Fewer or More has made."
    labels = page.locator('.card.latest').evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
    return [label.partition(',')[0] for label in labels]


def in_sight(page, title):
    "Is the head of this card, and a row of its images, below the bar and above the end of the window?"
    box, bar = card(page, title).bounding_box(), page.locator('.bar').bounding_box()
    return bar['y'] + bar['height'] <= box['y'] and box['y'] + 100 <= page.viewport_size['height']


@pytest.mark.parametrize('by', ['mouse', 'keyboard'])
@pytest.mark.parametrize('width', [390, 1280])
def test_fewer_is_one_click_and_one_key(visit, tmp_path, made, width, by):
    page = visit(made, width)
    page.get_by_role('button', name='Fewer').click() if by == 'mouse' else press(page, 'Alt+f')
    assert sizes(page) == [70, 20, 10] and framed(page) == ['cluster 0'] and in_sight(page, 'cluster 0')
    assert page.locator('#said').inner_text() == 'cluster 1: merged into cluster 0. 3 clusters now.'
    press(page, 'Control+z')
    assert sizes(page) == [40, 30, 20, 10] and framed(page) == [] and page.get_by_text('Undone').is_visible()
    press(page, 'Control+Shift+z', 'Alt+f', 'Alt+f')
    assert sizes(page) == [100] and page.get_by_role('button', name='Fewer').is_disabled()
    press(page, 'Alt+f')
    assert page.get_by_text('No two clusters are left that look alike').is_visible() and page.evaluate('at') == 3


@pytest.mark.parametrize('by', ['mouse', 'keyboard'])
@pytest.mark.parametrize('width', [390, 1280])
def test_more_is_one_click_and_one_key(visit, tmp_path, width, by):
    heights = np.ones(99)
    heights[[39, 69, 89]] = 90 # where the clusters part
    heights[[75, 92]] = [7, 6] # the third is the loosest, and then the last
    page = visit(write(tmp_path / 'loose.html', heights=heights), width)
    page.get_by_role('button', name='More').click() if by == 'mouse' else press(page, 'Alt+r')
    assert page.locator('#said').inner_text() == 'cluster 2: split into 14 images and 6 images. 5 clusters now.'
    assert sizes(page) == [40, 30, 14, 6, 10] and framed(page) == ['cluster 2', 'cluster 4']
    assert in_sight(page, 'cluster 2') and in_sight(page, 'cluster 4')
    press(page, 'Alt+r')
    assert sizes(page) == [40, 30, 14, 6, 7, 3] and framed(page) == ['cluster 3', 'cluster 5']
    page.get_by_role('button', name='Undo').click()
    assert sizes(page) == [40, 30, 14, 6, 10] and framed(page) == []
    press(page, 'Control+z')
    assert sizes(page) == [40, 30, 20, 10] and page.get_by_role('button', name='Undo').is_disabled()


def test_fewer_and_more_leave_alone_what_a_person_has_decided(page):
    press(page, 'Alt+l', 'n') # 0 and 1 are told apart
    page.locator('.name').first.fill('nought')
    press(page, 'Alt+f') # 1 and 2, which makes one thing; what is typed is taken first
    assert sizes(page) == [40, 50, 10] and names(page)[0] == 'nought'
    press(page, 'Alt+r')
    assert sizes(page) == [40, 50, 7, 3] # nothing else is open
    card(page, 'cluster 1').get_by_role('button', name='None').click()
    for _ in range(10): # each divides a part of the last cluster, to single images
        press(page, 'Alt+r')
    assert sizes(page) == [40, 50] + [1] * 10
    assert page.get_by_text('No cluster is left that may show two things').is_visible()
    assert page.get_by_role('button', name='More').is_disabled()
    page.evaluate('scrollTo(0, 0)')
    card(page, 'cluster 0').locator('.name').fill('') # the name was the reason
    press(page, 'Tab')
    assert page.get_by_role('button', name='More').is_enabled()


def test_more_does_not_part_what_was_moved(page):
    tile(page, 'cluster 3', 0).click()
    page.get_by_role('button', name='Move the selected images to cluster 0').click()
    before = page.evaluate('openDivisions(current())')
    assert before == [0, 1, 2, 3] # by inertia; the stranger, from another branch, does not count
    press(page, 'Alt+r')
    assert sizes(page) == [28, 13, 30, 20, 9]
    assert 'd90' in page.evaluate('Array.from(current().clusters.get(0).members, image => run.digests[image])')


def test_a_cluster_of_two_things_is_a_question(page):
    division = page.get_by_role('region', name='Does this one show two things?')
    assert division.locator('figcaption').all_inner_texts() == ['cluster 0: 27 images', 'and 13 images']
    assert division.get_by_text('4 clusters, the likeliest first').is_visible()
    press(page, 'Alt+w', 'n')
    assert page.get_by_text('cluster 0: one thing, and not suggested again').is_visible()
    assert sizes(page) == [40, 30, 20, 10] and focused(page) == ['division', None]
    press(page, 'y') # cluster 1
    assert sizes(page) == [40, 20, 10, 20, 10] and focused(page) == ['division', None]
    page.wait_for_timeout(1100)
    page.keyboard.type('no') # a word
    assert page.get_by_text('only Y or N alone is an answer').is_visible()
    assert page.evaluate('steps.slice(0, at).map(step => step.kind)') == ['single', 'split']
    division.get_by_role('button', name='One').click()
    page.wait_for_timeout(1100)
    press(page, 'Alt+l', 'y') # the other question, of what is left of cluster 1
    assert page.evaluate('steps.slice(0, at).map(step => step.kind)') == ['single', 'split', 'single', 'merge']
    page.get_by_role('button', name='Later').click()
    assert not division.is_visible() and page.locator('.question:visible button:visible').all_inner_texts() == ['Show']
    press(page, 'Alt+w')
    assert focused(page) == ['division', None] and page.locator('.question:visible').count() == 2


def test_the_next_run_keeps_fewer_and_more(page, visit, tmp_path):
    press(page, 'Alt+r', 'Alt+f') # 0 is divided, and what is left of it merged with 1
    assert sizes(page) == [13, 57, 20, 10]
    press(page, 'Alt+w', 'n') # cluster 2 is one thing
    corrections = saved(page, tmp_path)
    assert sorted(len(told['members']) for told in corrections.clusters) == [13, 20, 57]
    digests = [f'd{i}' for i in range(100)]
    clusters, cluster_names, _ = apply_corrections(corrections, np.repeat([0, 1, 2], [50, 40, 10]), digests)
    again = visit(write(tmp_path / 'again.html', clusters=clusters, digests=digests, cluster_names=cluster_names,
                        suggestions=[], corrections=corrections))
    assert sorted(sizes(again)) == [10, 13, 20, 57]
    assert len(again.evaluate('openDivisions(current())')) == 1 # the untouched one
    press(again, 'Alt+r')
    assert sorted(sizes(again)) == [3, 7, 13, 20, 57]


def test_page_and_python_have_one_order_of_divisions(visit, tmp_path):
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(8), 12)
    spread = rng.permutation(8)[clusters] + 1
    points = 50 * np.eye(8)[clusters] + spread[:, None] * rng.normal(size=(96, 8)) / 8
    order, heights = tree_of_clusters(points, clusters)
    path = write(tmp_path / 'order.html', (12,) * 8, order=order, heights=heights)
    loosest = loosest_clusters(points, clusters)
    page = visit(path)
    assert page.evaluate('openDivisions(current()).map(id => run.clusters[id].number)') == loosest.cluster.tolist()
    inertia = page.evaluate("""() => openDivisions(current()).map(id =>
        divisionOf(current().clusters.get(id), current()).inertia)""")
    np.testing.assert_allclose(inertia, loosest.inertia, rtol=1e-4)


def all_the_work(page):
    "Each kind of step once, and the name of a file as the last."
    press(page, 'Alt+l', 'y', 'n', 'n', 'ArrowDown', ' ', 'Alt+c')
    page.keyboard.type('strange')
    press(page, 'Enter')
    page.keyboard.type('<b>two</b>')
    press(page, 'Enter', 'Escape', 'Alt+s', 'PageDown', 'Alt+n', 'PageUp', ' ', 'Enter')
    page.keyboard.type('strange')
    press(page, 'Enter')


def test_everything_is_undone_and_done_again(page):
    before = page.evaluate('JSON.stringify(corrections(current()))')
    all_the_work(page)
    steps = page.evaluate('at')
    after = [page.evaluate('[JSON.stringify(corrections(current())), at]'), shown(page)]
    assert {step['kind'] for step in page.evaluate('steps')} == {'name', 'none', 'move', 'merge', 'split', 'dismiss'}
    assert before != after[0][0]
    for _ in range(steps):
        press(page, 'Control+z')
    assert page.get_by_role('button', name='Undo').is_disabled()
    assert page.evaluate('JSON.stringify(corrections(current()))') == before and sizes(page) == [40, 30, 20, 10]
    press(page, 'Control+z')
    assert page.get_by_text('Nothing to undo').is_visible()
    for _ in range(steps):
        page.get_by_role('button', name='Redo').click()
    assert [page.evaluate('[JSON.stringify(corrections(current())), at]'), shown(page)] == after
    page.reload()
    press(page, 'Control+z', 'Control+Shift+z')
    assert page.evaluate('JSON.stringify(corrections(current()))') == after[0][0]


def test_what_is_saved_is_opened_again(page, visit, made, tmp_path):
    all_the_work(page)
    corrections = saved(page, tmp_path)
    assert [(told['name'], told['none'], len(told['members'])) for told in corrections.clusters] == [
        (name, none, size) for _, name, none, size in shown(page) if size != 10]
    other = visit(made)
    other.locator('#file').set_input_files(tmp_path / 'corrections.json')
    other.get_by_text('opened from a file').wait_for()
    assert sorted(row[1:] for row in map(str, shown(other))) == sorted(row[1:] for row in map(str, shown(page)))
    again = saved(other, tmp_path, 'again.json')
    assert sorted(again.moved) == sorted(corrections.moved)
    key = lambda told: told['members'] # noqa: E731
    assert sorted(again.clusters, key=key) == sorted(corrections.clusters, key=key)
    press(other, 'Control+z')
    assert sizes(other) == [40, 30, 20, 10]


@pytest.mark.parametrize('text, sentence', [
    ('{', 'is no JSON'), ('[]', 'holds no corrections'), ('{"format": 2}', 'format 2'),
    ('{"format": 1, "clusters": [{"name": 3, "none": false, "members": []}], "moved": []}', 'holds no corrections'),
    ('{"format": 1, "clusters": [], "moved": [], "apart": [["a"]]}', 'holds no corrections'),
    ('{"format": 1, "clusters": [], "moved": [], "apart": {"a": "b"}}', 'holds no corrections'),
    ('{"format": true, "clusters": [], "moved": []}', 'holds no corrections'), ('[' * 100_000, 'is no JSON'),
    ('{"format": 1, "clusters": {"length": 0}, "moved": []}', 'holds no corrections'), ('\0', 'is no JSON'),
])
def test_other_files_are_refused_in_a_sentence(page, tmp_path, text, sentence):
    (tmp_path / 'other.json').write_text(text)
    page.locator('#file').set_input_files(tmp_path / 'other.json')
    page.get_by_text(sentence).wait_for()
    assert sizes(page) == [40, 30, 20, 10]
    with pytest.raises(ValueError, match='JSON|cannot be read|holds no|has format'):
        read_corrections(tmp_path / 'other.json')


def test_the_browser_keeps_the_work(page):
    all_the_work(page)
    before = shown(page)
    page.reload()
    assert shown(page) == before
    assert page.get_by_text('steps of your last visit restored').is_visible()
    twin = page.context.new_page() # a second window follows the first
    twin.goto(page.url)
    press(page, 'Control+z')
    twin.get_by_text('Changed in another window').wait_for()
    assert shown(twin) == shown(page) != before


def test_another_run_begins_anew(page, tmp_path):
    all_the_work(page)
    page.goto(write(tmp_path / 'other.html', (40, 30, 21, 10)).as_uri())
    assert sizes(page) == [40, 30, 21, 10] and page.evaluate('at') == 0


def test_a_browser_that_keeps_nothing_is_named(browser, made):
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw Error('no') }})")
    page = context.new_page()
    page.goto(made.as_uri())
    assert page.get_by_text('does not keep your work').is_visible()
    press(page, 'Alt+l', 'n')
    assert page.evaluate('at') == 1
    context.close()


def test_names_hold_anything(visit, tmp_path):
    path = write(tmp_path / 'odd.html', (40, 30, 20, 10, 3, 2), names=[ODD[i % len(ODD)] for i in range(105)],
                 title=ODD[0], cluster_names=dict(enumerate(ODD)))
    page = visit(path)
    assert page.locator('#bad').count() == 0
    assert page.title() == ODD[0]
    assert names(page)[:3] == ODD[:3]
    assert page.evaluate('current().clusters.get(3).name.charCodeAt(5)') == 0xd800
    assert tile(page, 'cluster 0', 1).get_attribute('aria-label').startswith(ODD[1])
    press(page, 'Alt+l', 'n')
    tile(page, 'cluster 0', 0).click()
    press(page, 'Enter')
    assert page.locator('#choices').get_by_text(f'cluster 1, named {ODD[1]}').is_visible()
    page.keyboard.type('<i>')
    press(page, 'Enter')
    assert sizes(page)[1] == 31 and page.locator('main i, dialog i').count() == 0
    card(page, 'cluster 4').locator('.name').fill(' half \ud800 letter\x1b\t ')
    corrections = saved(page, tmp_path)
    assert {told['name'] for told in corrections.clusters} == {ODD[1], 'half \ufffd letter'}


def test_long_names_do_not_widen_the_page(visit, tmp_path):
    long = 'x' * 300
    path = write(tmp_path / 'long.html', names=[long] * 100, title=long, cluster_names=dict.fromkeys(range(4), long))
    page = visit(path, 390)
    page.evaluate('scrollTo(0, 600)')
    page.get_by_role('button', name='None').first.click()
    tile(page, 'cluster 1', 0).click()
    press(page, 'Alt+t')
    assert page.evaluate('document.documentElement.scrollWidth') <= 390


def test_a_question_out_of_sight_is_not_answered(page):
    page.set_viewport_size({'width': 1280, 'height': 350})
    press(page, 'Alt+l')
    page.evaluate('scrollTo(0, document.body.scrollHeight)')
    press(page, 'y')
    assert page.evaluate('at') == 0 and focused(page) == ['suggestion', None]
    press(page, 'y')
    assert page.evaluate('at') == 1


def test_letters_of_a_word_are_no_answer(page):
    press(page, 'Alt+l')
    assert page.get_by_text('Enter: on to the names').is_visible()
    for word in ('yes', 'nine', '7n', 'zny'): # each would answer, merge or be lost
        page.keyboard.type(word)
        assert page.get_by_text('only Y or N alone is an answer').is_visible()
        assert page.evaluate('[at, openSuggestions(current()).length]') == [0, 3]
        assert focused(page) == ['suggestion', None] and sizes(page) == [40, 30, 20, 10]
        page.wait_for_timeout(1100) # so that the next is another word
    press(page, 'n') # alone
    assert page.evaluate('steps.map(step => step.kind)') == ['dismiss']


def test_enter_goes_on_from_wherever_it_presses_nothing(page):
    for go in (lambda: press(page, 'Alt+l'), lambda: page.locator('#help').focus(), lambda: None):
        go()
        press(page, 'Enter')
        assert focused(page) == ['name', 0]
        page.evaluate('document.activeElement.blur()')
    page.locator('#help').focus()
    page.keyboard.type('nine')
    assert page.get_by_text('Press Enter, or click a field for a name').is_visible()
    page.locator('#different').focus()
    press(page, 'Enter') # a button does what it says
    assert page.evaluate('steps.map(step => step.kind)') == ['dismiss']


def test_one_name_of_two_that_were_told_apart_is_a_contradiction(page):
    for place in (0, 1):
        page.locator('.name').nth(place).fill('8')
        press(page, 'Enter')
    press(page, 'Alt+l', 'n')
    contradiction = 'Told apart, but both are named 8, so in one folder: rename cluster 0 or cluster 1.'
    assert page.locator('#said').inner_text() == contradiction
    assert page.locator('.also:visible span').all_inner_texts() == ['told apart: cluster 1', 'told apart: cluster 0']
    page.get_by_role('button', name='Save').click()
    assert contradiction in page.locator('#said').inner_text()
    page.locator('.name').nth(1).fill('3')
    press(page, 'Enter')
    page.get_by_role('button', name='Save').click()
    assert contradiction not in page.locator('#said').inner_text() # it is solved
    page.locator('.name').nth(1).fill('8')
    press(page, 'Enter')
    assert contradiction in page.locator('#said').inner_text() # and made again


@pytest.mark.parametrize('width, height', [(1280, 800), (900, 800), (390, 844)])
def test_what_is_said_moves_nothing(visit, tmp_path, width, height):
    page = visit(write(tmp_path / 'long.html', cluster_names={0: 'a long name ' * 9, 1: 'another ' * 9}), width)
    page.set_viewport_size({'width': width, 'height': height})
    bar = page.evaluate("document.querySelector('.bar').offsetHeight")
    for words in ('', 'Nothing to undo.', 'a word ' * 60):
        page.evaluate('words => say(words)', words)
        assert page.evaluate("document.querySelector('.bar').offsetHeight") == bar
    page.get_by_role('button', name='None').nth(2).click() # which makes the line of figures longer
    page.locator('.name').nth(3).fill('the last')
    press(page, 'Enter')
    assert page.get_by_text('All clusters are named', exact=True).is_visible()
    assert page.evaluate("document.querySelector('.bar').offsetHeight") == bar
    assert page.evaluate('document.documentElement.scrollWidth') <= width


def choices(page):
    "The titles in the list of clusters."
    return [re.split(',| ·', words)[0] for words in page.locator('#choices li').all_inner_texts()]


def test_the_likeliest_target_is_the_first(visit, tmp_path):
    second_choice = np.repeat([3, 3, 1, -1], [40, 30, 20, 10])
    page = visit(write(tmp_path / 'second.html', second_choice=second_choice))
    tile(page, 'cluster 0', 0).click()
    tile(page, 'cluster 0', 1).click()
    press(page, 'Enter')
    assert choices(page) == ['cluster 3', 'cluster 1', 'cluster 2', 'a new cluster'] # not where they are
    press(page, 'Enter', 'Escape')
    assert sizes(page) == [38, 30, 20, 12]
    press(page, 'Alt+m')
    page.keyboard.type('3')
    press(page, 'Enter') # the larger one keeps its place
    assert sizes(page) == [50, 30, 20]
    tile(page, 'cluster 1', 0).click()
    press(page, 'Enter')
    assert choices(page)[0] == 'cluster 0' # what came next for it is there now
    press(page, 'Escape')
    tile(page, 'cluster 2', 0).click() # two of two clusters, which may go to either
    press(page, 'Enter')
    assert choices(page) == ['cluster 0', 'cluster 1', 'cluster 2', 'a new cluster']


def test_without_a_second_choice_the_last_target_is_the_first(page):
    tile(page, 'cluster 0', 0).click()
    press(page, 'Enter')
    assert choices(page) == ['cluster 1', 'cluster 2', 'cluster 3', 'a new cluster']
    page.keyboard.type('3')
    press(page, 'Enter')
    tile(page, 'cluster 1', 0).click()
    press(page, 'Enter')
    assert choices(page) == ['cluster 3', 'cluster 0', 'cluster 2', 'a new cluster']


def test_clusters_to_merge_with_are_listed_by_likeness(visit, tmp_path):
    page = visit(write(tmp_path / 'like.html', suggestions=[(3, 2, .9), (0, 3, .5)], cluster_names={1: '2'}))
    press(page, 'Enter', 'PageDown', 'PageDown', 'PageDown', 'Alt+m')
    assert choices(page) == ['cluster 2', 'cluster 0', 'cluster 1']
    page.keyboard.type('2')
    assert choices(page) == ['cluster 1', 'cluster 2'] # the name first, then the number


@pytest.mark.parametrize('width, height', [(1280, 800), (390, 844), (1280, 500)])
def test_no_line_of_a_list_is_cut(visit, tmp_path, width, height):
    page = visit(write(tmp_path / 'many.html', (6,) * 16), width)
    page.set_viewport_size({'width': width, 'height': height})
    tile(page, 'cluster 0', 0).click()
    press(page, 'Alt+t')
    for _ in range(17): # also when the list is moved
        cut = page.evaluate("""() => {
            const box = part('choices').getBoundingClientRect()
            return [...part('choices').children].map(line => line.getBoundingClientRect()).filter(line =>
                line.top < box.bottom - 1 && line.bottom > box.bottom + 1
                || line.top < box.top - 1 && line.bottom > box.top + 1).length
        }""")
        assert cut == 0
        press(page, 'ArrowDown')
    box, cancel = (page.locator(part).bounding_box() for part in ('#choices', '#cancel'))
    assert box['y'] + box['height'] < cancel['y'] and cancel['y'] + cancel['height'] < height


def test_undo_shows_where_the_image_is(visit, tmp_path):
    page = visit(write(tmp_path / 'far.html', (40,) * 16))
    seen = """digest => {
        const box = document.getElementById(`image-${run.digests.indexOf(digest)}`)?.getBoundingClientRect()
        return box != null && box.top > document.querySelector('.bar').offsetHeight && box.bottom < innerHeight
    }"""
    tile(page, 'cluster 0', 3).click()
    press(page, 'Enter')
    page.keyboard.type('15')
    press(page, 'Enter')
    page.get_by_role('button', name='Redo').focus() # whatever has the keyboard
    page.evaluate('scrollTo(0, document.body.scrollHeight)')
    press(page, 'Control+z')
    assert page.evaluate(seen, 'd3') # in cluster 0
    page.evaluate("perform({kind: 'merge', from: 14, into: 0})")
    press(page, 'Control+z')
    assert page.evaluate(seen, 'd560') # cluster 14 is there again


def test_blank_images_count_nowhere(visit, tmp_path):
    images = load_mnist()[1].images[:100].copy()
    images[90:] = 0
    images[0] = 0
    page = visit(write(tmp_path / 'blank.html', images=images, cluster_names={3: 'blank'}))
    assert page.locator('.bar b').inner_text() == '3 names left'
    assert page.locator('#share').inner_text() == '0 named (0 % of 89 images), 11 blank'
    for name in 'abc':
        press(page, 'Enter')
        page.keyboard.type(name)
    press(page, 'Enter')
    assert page.locator('.bar b').inner_text() == 'All clusters are named'
    assert page.locator('#share').inner_text() == '3 named (100 % of 89 images), 11 blank'
    assert page.evaluate("part('meter').value") == 1
    page.locator('.name').nth(3).fill('') # needs no name, and is not asked for one
    press(page, 'Enter')
    assert page.locator('.bar b').inner_text() == 'All clusters are named' and focused(page) == ['save', None]
    press(page, 'Alt+k')
    page.get_by_role('button', name='None').nth(3).click()
    assert page.locator('#share').inner_text() == '3 named (100 % of 89 images), 11 blank'


def test_copies_share_their_fate(visit, tmp_path):
    digests = [f'd{i}' for i in range(100)]
    digests[5] = digests[50] = digests[0]
    page = visit(write(tmp_path / 'copies.html', digests=digests))
    tile(page, 'cluster 0', 0).click()
    page.get_by_role('button', name='Move the selected images to cluster 3').click()
    assert sizes(page) == [38, 29, 20, 13]
    assert saved(page, tmp_path).moved == ['d0']


# Who sees badly, uses no mouse, or has a telephone

@pytest.mark.parametrize('color_scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_nothing_keeps_people_out(visit, made, width, color_scheme):
    page = visit(made, width, color_scheme)

    def problems():
        found = Axe().run(page).response['violations']
        return [(problem['id'], [node['html'] for node in problem['nodes']][:3]) for problem in found]

    assert problems() == []
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    tile(page, 'cluster 0', 0).click()
    card(page, 'cluster 1').get_by_role('button', name='None').click()
    if width == 390:
        press(page, 'Alt+k')
    assert problems() == []
    press(page, 'Alt+t')
    assert problems() == []
    assert page.evaluate('document.documentElement.scrollWidth') <= width


def test_by_touch(browser, made):
    context = browser.new_context(viewport={'width': 390, 'height': 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(made.as_uri())
    assert focused(page) == ['', None] # or a keyboard would cover half of the screen
    tile(page, 'cluster 0', 0).tap()
    tile(page, 'cluster 0', 1).tap()
    card(page, 'cluster 1').get_by_role('button', name='Move the selected').tap()
    assert sizes(page) == [38, 32, 20, 10]
    page.get_by_role('button', name='Undo').tap()
    assert sizes(page) == [40, 30, 20, 10]
    boxes = page.locator('button:visible').evaluate_all('all => all.map(each => each.getBoundingClientRect().height)')
    assert min(boxes) >= 24
    context.close()


# Many images

class Person:
    "Somebody who knows what each image shows, reads what the page says and counts the keys."

    def __init__(self, page, labels):
        self.page, self.labels, self.keys = page, labels, 0

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def type(self, text):
        self.page.keyboard.type(text)
        self.keys += len(text)

    def go_to(self, cluster, place):
        "The image at a place of a cluster, from wherever the keyboard is."
        order = self.page.evaluate('current().order')
        while focused(self.page) != ['tiles', cluster]:
            here = focused(self.page)[1]
            self.press('PageUp' if here is not None and order.index(here) > order.index(cluster) else 'PageDown')
        down, right = divmod(place, self.page.evaluate('sizes.columns'))
        self.press('Home', *['ArrowDown'] * down, *['ArrowRight'] * right)

    def images(self):
        "The digests in each cluster."
        return self.page.evaluate('''() => Object.fromEntries(current().order.map(id =>
            [id, Array.from(current().clusters.get(id).members, image => +run.digests[image])]))''')

    def looks_like(self, cluster):
        "The digit of most of its images."
        return int(np.bincount(self.labels[self.images()[str(cluster)]]).argmax())

    def right(self):
        "The share of all images that are named right."
        named = self.page.evaluate('current().order.map(id => [id, current().clusters.get(id).name])')
        images = self.images()
        return sum((self.labels[images[str(id)]].astype(str) == name).sum() for id, name in named) / len(self.labels)


@pytest.fixture(scope='module')
def mnist_parts():
    "The 10,000 test images clustered without labels: the communities of their neighbours, and the tree of the map."
    from mnist_clustering.shapes import DistortionMap

    images = load_mnist()[1].images
    model = DistortionMap().fit(images)
    clusters = model.labels_
    centers = np.array([model.embedding_[clusters == cluster].mean(axis=0) for cluster in range(clusters.max() + 1)])
    nearest, second = np.sort(cdist(model.embedding_, centers), axis=1)[:, :2].T
    pairs = closest_pairs(neighbor_graph(model.neighbors_, model.distances_), clusters)
    order, heights = tree_order(Ward(2).fit(model.embedding_).linkage_)
    return {'images': images, 'clusters': clusters, 'names': None, 'digests': np.arange(10_000).astype(str),
            'confidence': 1 - nearest / second, 'cluster_names': {}, 'order': order, 'heights': heights,
            'suggestions': list(pairs.head(5).itertuples(index=False, name=None)), 'title': '10,000 digits'}


def tree_order(linkage):
    "The leaves from left to right, and the height at which neighbours part."
    n = len(linkage) + 1
    leaves = {i: [i] for i in range(n)}
    gaps = {i: [] for i in range(n)}
    for i, (a, b, height, _) in enumerate(linkage):
        leaves[n + i] = leaves.pop(int(a)) + leaves.pop(int(b))
        gaps[n + i] = [*gaps.pop(int(a)), height, *gaps.pop(int(b))]
    return np.array(leaves[2 * n - 2]), np.array(gaps[2 * n - 2])


def test_ten_thousand_digits_are_named_by_the_keyboard(visit, tmp_path, mnist_parts):
    write_review(tmp_path / 'mnist.html', **mnist_parts)
    page = visit(tmp_path / 'mnist.html')
    labels = load_mnist()[1].labels
    person = Person(page, labels)
    person.press('Alt+l')
    while page.evaluate('openSuggestions(current()).length'):
        a, b, _ = page.evaluate('openSuggestions(current())[0]')
        person.press('y' if person.looks_like(a) == person.looks_like(b) else 'n')
    given = 0
    while focused(page)[0] == 'name':
        person.type(str(person.looks_like(focused(page)[1])))
        person.press('Enter')
        given += 1
    first = person.right()
    while person.right() < .99: # strangers among those in doubt, which are shown first, go where they belong
        cluster, place, label = stranger(person)
        person.go_to(cluster, place)
        person.press(' ', 'Enter')
        person.type(str(label))
        person.press('Enter')
    print(f'{given} names, {person.keys} keys; {first:.4f} right after the names, {person.right():.4f} at the end')
    assert given <= 16 and person.right() >= .99 and person.keys < 200
    corrections = saved(page, tmp_path)
    clusters, cluster_names, _ = apply_corrections(corrections, mnist_parts['clusters'], mnist_parts['digests'])
    named = pd.Series(clusters).map(cluster_names)
    assert (named == labels.astype(str)).mean() == pytest.approx(person.right())


def stranger(person):
    "The first image among those shown of a cluster that shows something else than the cluster."
    shown = person.page.evaluate('laid.places.map(({id, shown}) => [id, shown * sizes.columns])')
    images = person.images()
    for cluster, n in shown:
        labels = person.labels[images[str(cluster)][:n]]
        wrong = np.flatnonzero(labels != person.looks_like(cluster))
        if len(wrong):
            return cluster, int(wrong[0]), int(labels[wrong[0]])
    raise AssertionError('no stranger is shown')


def synthetic(path, n, k):
    rng = np.random.default_rng(0)
    digits = load_mnist()[0].images
    write_review(
        path, digits[np.arange(n) % len(digits)], rng.integers(0, k, n), names=[f'{i}.png' for i in range(n)],
        digests=[f'{i:032x}' for i in range(n)], confidence=rng.random(n), cluster_names={},
        suggestions=[(i, i + 1, .5) for i in range(k - 1)], order=rng.permutation(n), heights=rng.random(n - 1),
        title='Many')


@pytest.mark.parametrize('n, k, width', [(100_000, 300, 1280), (100_000, 3, 1280), (10_000, 20, 390)])
def test_only_what_is_seen_is_drawn(visit, tmp_path, n, k, width):
    synthetic(tmp_path / 'many.html', n, k)
    page = visit(tmp_path / 'many.html', width)
    size = (tmp_path / 'many.html').stat().st_size
    assert size < 250 * n
    page.get_by_role('button', name='Later').click()
    press(page, 'Escape', 'Alt+a') # one whole cluster is shown
    page.evaluate('''() => {
        window.most = 0
        window.longest = 0
        new PerformanceObserver(list => {
            for (const entry of list.getEntries()) longest = Math.max(longest, entry.duration)
        }).observe({type: 'longtask'})
    }''')
    for step in range(60):
        page.evaluate('step => scrollBy(0, step < 40 ? 700 : board.offsetHeight / 20)', step)
        page.evaluate('''() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
            most = Math.max(most, document.querySelectorAll('*').length)
            done()
        })))''')
        assert page.evaluate('''() => {
            const seen = document.elementFromPoint(innerWidth / 3, innerHeight - 100)
            return seen.closest('#clusters') != null
        }''')
    print(f'{n:,} images: {size / 1e6:.0f} MB, {page.evaluate("most")} elements, {page.evaluate("longest")} ms')
    assert page.evaluate('most') < 2500
    page.keyboard.type('name')
    press(page, 'Enter', 'Escape', 'End', ' ', 'Alt+c')
    assert page.evaluate('steps.map(step => step.kind)') == ['name', 'move'] and sum(sizes(page)) == n


# Corrections

def random_case(seed):
    "Clusters of 300 images, corrections of them, and a new clustering of most of them and of others."
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 8, 300)
    new = np.where(rng.random(400) < .8, [*old, *rng.integers(0, 8, 100)], rng.integers(-1, 12, 400))
    digests = np.array([f'd{i}' for i in range(400)])
    moved = rng.choice(300, 20, replace=False)
    old[moved] = rng.integers(0, 5, 20)
    old[rng.random(300) < .3] %= 6
    told = [{'name': [None, 'a', 'b', 'b', None][i], 'none': i == 4, 'members': digests[:300][old == i].tolist()}
            for i in range(5)]
    told.append({'name': 'gone', 'none': False, 'members': ['g1', 'g2']})
    kept = np.sort(rng.permutation(400)[:370])
    return Corrections(told, [*digests[moved].tolist(), 'g1']), new[kept], digests[kept]


@pytest.mark.parametrize('seed', range(5))
def test_page_and_python_have_one_rule(visit, tmp_path, seed):
    corrections, clusters, digests = random_case(seed)
    n = len(clusters)
    numbers = np.unique(clusters)
    path = write(tmp_path / 'new.html', (n,), clusters=clusters, digests=digests, suggestions=[
        (a, b, .5) for a, b in pairwise(numbers.tolist())])
    file = tmp_path / 'corrections.json'
    file.write_text(json.dumps({'format': 1, 'clusters': corrections.clusters, 'moved': corrections.moved}))
    page = visit(path)
    page.locator('#file').set_input_files(file)
    page.get_by_text('opened from a file. 1 cluster without an image here').wait_for()
    found = page.evaluate('''() => current().order.map(id => {
        const {title, name, none, members} = current().clusters.get(id)
        return [title, none ? null : name, Array.from(members, image => run.digests[image])]
    })''')
    honoured, cluster_names, unhonoured = apply_corrections(corrections, clusters, digests)
    wanted = {}
    for cluster, digest in zip(honoured.tolist(), digests.tolist()):
        wanted.setdefault(cluster, set()).add(digest)
    assert sorted((name or '', sorted(members)) for _, name, members in found) == sorted(
        (cluster_names.get(cluster, ''), sorted(members)) for cluster, members in wanted.items())
    absent = {digest for told in corrections.clusters for digest in told['members']} - set(digests.tolist())
    assert unhonoured['what'][0] == 'cluster named gone'
    assert len(unhonoured) == 2 and unhonoured['what'][1].startswith(f'{len(absent)} images (')
    again = saved(page, tmp_path, 'again.json')
    as_sets = [sorted((told['name'] or '', told['none'], sorted({*told['members']} - {*digests})) for told in each)
               for each in (again.clusters, corrections.clusters)]
    assert as_sets[0] == as_sets[1] # what is not here is not forgotten
    assert sorted(again.moved) == sorted(corrections.moved)


@pytest.mark.parametrize('seed', range(5))
def test_all_that_is_here_stays(seed):
    corrections, clusters, digests = random_case(seed)
    honoured, cluster_names, _ = apply_corrections(corrections, clusters, digests)
    found = set()
    for told in corrections.clusters:
        here = {*honoured[np.isin(digests, told['members'])].tolist()}
        assert len(here) <= 1 and not here & found # together, and with no other corrected cluster
        assert all(cluster_names.get(cluster) == (None if told['none'] else told['name']) for cluster in here)
        found |= here
    others = ~np.isin(digests, sum((told['members'] for told in corrections.clusters), []))
    free = others & ~np.isin(honoured, list(found))
    assert free.any() and (honoured[free] == clusters[free]).all()


def test_a_page_of_corrected_clusters_saves_them_again(visit, tmp_path):
    corrections, clusters, digests = random_case(7)
    honoured, cluster_names, _ = apply_corrections(corrections, clusters, digests)
    path = write(tmp_path / 'next.html', (len(clusters),), clusters=honoured, digests=digests, suggestions=[],
                 cluster_names=cluster_names, corrections=corrections)
    again = saved(visit(path), tmp_path)
    for told in corrections.clusters:
        matching = [other for other in again.clusters if {*told['members']} <= {*other['members']}]
        assert [(other['name'], other['none']) for other in matching] == [(told['name'], told['none'])]
    assert sorted(again.moved) == sorted(corrections.moved)
    twice = apply_corrections(again, honoured, digests)
    assert twice[0].tolist() == honoured.tolist() and twice[1] == cluster_names


def test_noise_is_no_cluster_to_join():
    corrections = Corrections([{'name': 'a', 'none': False, 'members': ['x', 'y']}], [])
    clusters, cluster_names, _ = apply_corrections(corrections, [-1, -1, -1, 4], ['x', 'y', 'z', 'w'])
    assert clusters.tolist() == [5, 5, -1, 4] and cluster_names == {5: 'a'}


def test_an_image_in_two_corrected_clusters_is_listed():
    told = [{'name': name, 'none': False, 'members': [*members]} for name, members in (('a', 'xy'), ('b', 'xz'))]
    clusters, cluster_names, unhonoured = apply_corrections(Corrections(told, []), [0, 0, 1], ['x', 'y', 'z'])
    assert clusters.tolist() == [0, 0, 1] and cluster_names == {0: 'a', 1: 'b'}
    why = 'also in the cluster named a, and kept there'
    assert unhonoured.values.tolist() == [['1 image (x) of the cluster named b', why]]


def test_a_cluster_without_a_majority_stays_alone():
    told = [{'name': name, 'none': False, 'members': [name]} for name in 'ab']
    clusters, _, _ = apply_corrections(Corrections(told, []), [3, 3, 3, 3], ['a', 'b', 'c', 'd'])
    assert clusters[2] == clusters[3] == 3 and len({*clusters.tolist()}) == 3


def test_what_is_not_here_takes_one_line():
    told = [{'name': 'a', 'none': False, 'members': [f'd{i}' for i in range(700)]}]
    corrections = Corrections(told, ['d1', 'd650', 'd650', 'd701', 'here'])
    _, _, unhonoured = apply_corrections(corrections, [0] * 101, [*(f'd{i}' for i in range(100)), 'here'])
    assert unhonoured.values.tolist() == [['601 images (d100, d101, d102, …)', 'not among these images'],
                                          ['1 image (here), moved', 'the file does not say where to']]


def test_corrections_say_what_they_hold_and_what_is_kept():
    told = [{'name': name, 'none': none, 'members': [*members]}
            for name, none, members in (('a', False, 'xy'), ('b', True, 'z'), ('c', False, 'vx'), (None, False, 'u'))]
    corrections = Corrections(told, ['x', 'v', 'w', 'x'], [['x', 'z'], ['x', 'v']])
    assert (corrections.n_names, corrections.n_moved) == (2, 3)
    assert corrections.describe_kept([*'uvwxyz']) == '2 names and 2 of 3 moved images kept'
    assert corrections.describe_kept([*'xz']) == '1 of 2 names and 1 of 3 moved images kept' # x lies in a
    assert corrections.kept([*'xz']).apart == [['x', 'z']]
    assert Corrections(told[:1], ['y']).describe_kept(['y']) == '1 name and 1 moved image kept'


def test_words_about_corrections_are_safe_in_a_terminal():
    told = [{'name': name, 'none': False, 'members': [digest]}
            for name, digest in (('\x1b[2Jgone\n', 'x'), ('n' * 10_000, 'half \ud800'), ('b', 'd' * 10_000))]
    _, _, unhonoured = apply_corrections(Corrections(told, []), [0], ['here'])
    said = ' '.join(unhonoured.to_numpy().ravel())
    assert said.isprintable() and said.encode() and len(said) < 700 and r'cluster named \x1b[2Jgone\n' in said


def test_nothing_to_correct():
    clusters, cluster_names, unhonoured = apply_corrections(Corrections([], []), [2, -1], ['a', 'b'])
    assert clusters.tolist() == [2, -1] and cluster_names == {} and len(unhonoured) == 0
    assert len(apply_corrections(Corrections([], []), [], [])[0]) == 0


# Folders

@pytest.mark.parametrize('name, folder', [
    ('seven', 'seven'), (7, '7'), ('a/b', 'a_b'), ('..', '_'), ('.hidden', '_hidden'), ('', '_'), (' ', '_'),
    ('con', '_con'), ('NUL.txt', '_NUL.txt'), ('console', 'console'), ('end. ', 'end_'), ('a\nb\0', 'a_b_'),
    ('\ud800', '_'), ('C:\\x', 'C__x'), ('e\u0301', 'é'), ('x' * 300, 'x' * 200), ('é' * 150, 'é' * 100),
])
def test_names_of_folders(name, folder):
    assert folder_name(name) == folder


def test_no_two_names_fall_together():
    odd = ['A', 'a', 'ß', 'ss', 'a/b', 'a\\b', 'a_b', 'no name', 'no name (2)', 'é', 'E\u0301', '..', '.', None, np.nan]
    folders = folder_names(odd)
    assert len({*folders.values()}) == len(folders) == len(odd) - 1
    assert len({folder.casefold() for folder in folders.values()}) == len(folders)
    assert folders['a_b'] == 'a_b' and folders['no name'] == 'no name' and folders[None] == 'no name (3)'
    assert folder_names(['a', 'b'], folders=['A', 'b'], files=['B (2)']) == {'a': 'a (2)', 'b': 'b'}
    assert folder_names(['b'], files=['B', 'b (2)']) == {'b': 'b (3)'}


@pytest.fixture
def scans(tmp_path):
    "Three files, two of them with one name."
    files = [tmp_path / 'one/scan.png', tmp_path / 'two/scan.png', tmp_path / 'two/SCAN.png']
    for i, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes([i]))
    return files


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('how', ['link', 'copy'])
def test_export(scans, tmp_path, how):
    out = tmp_path / 'out'
    dry = export_folders(out, scans, ['a', 'a', 'a'], how=how, dry_run=True)
    assert not out.exists()
    done = export_folders(str(out), [str(scan) for scan in scans], ['a', 'a', 'a'], how=how)
    assert done.to_dict() == dry.to_dict() and done['done'].tolist() == [how] * 3
    expected = {'a/scan.png': b'\0', 'a/scan (2).png': b'\1', 'a/SCAN (3).png': b'\2'}
    assert content(out) == expected
    assert all(path.is_symlink() == (how == 'link') for path in out.glob('*/*'))
    assert export_folders(out, scans, ['a', 'a', 'a'], how=how)['done'].tolist() == ['already there'] * 3
    assert content(out) == expected
    assert content(tmp_path / 'two') == {'scan.png': b'\1', 'SCAN.png': b'\2'}


@pytest.mark.parametrize('how', ['link', 'copy'])
def test_export_replaces_nothing(scans, tmp_path, how):
    out = tmp_path / 'out'
    (out / 'a').mkdir(parents=True)
    (out / 'a/scan.png').write_bytes(b'mine')
    (out / 'a/SCAN (2).png').symlink_to('nowhere')
    (out / 'b').write_bytes(b'a file')
    export_folders(out, scans, ['a', 'b', None], how=how)
    assert content(out) == {'a/scan.png': b'mine', 'a/scan (3).png': b'\0', 'b': b'a file', 'b (2)/scan.png': b'\1',
                            'no name/SCAN.png': b'\2'}
    assert (out / 'a/SCAN (2).png').readlink().name == 'nowhere'


@pytest.mark.parametrize('how', ['link', 'copy'])
def test_export_tells_what_is_left_from_earlier(scans, tmp_path, how):
    out = tmp_path / 'out'
    export_folders(out, scans, [1, 2, 2], how=how)
    (out / 'mine.txt').write_bytes(b'mine')
    dry = export_folders(out, scans, [2, 2, 3], how=how, dry_run=True)
    before = content(out)
    done = export_folders(out, scans, [2, 2, 3], how=how)
    assert done.to_dict() == dry.to_dict() and before.items() <= content(out).items() # nothing is deleted
    left = done[done['done'] == LEFT]
    assert left['target'].tolist() == [out / '1/scan.png', out / '2/SCAN (2).png', out / 'mine.txt']
    assert left[['file', 'name']].isna().all(axis=None) and done['name'].tolist()[:3] == [2, 2, 3]


def test_export_tells_what_has_vanished(scans, tmp_path):
    scans[1].unlink()
    done = export_folders(tmp_path / 'out', [*scans, scans[0]], [1, 1, 2, 1])
    assert done['done'].tolist() == ['link', 'missing', 'link', 'already there'] # two pages of one file are one file
    assert done['target'].isna().tolist() == [False, True, False, False]


def test_a_copy_that_is_stopped_leaves_no_part(scans, tmp_path, monkeypatch):
    def stop(source, copy):
        copy.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr('shutil.copy2', stop)
    with pytest.raises(KeyboardInterrupt):
        export_folders(tmp_path / 'out', scans, ['a'] * 3, how='copy')
    assert content(tmp_path / 'out') == {}


def test_many_files_of_one_name(tmp_path):
    "Each in a folder of its own, as a camera leaves them; looking for a free number must not take a number of looks."
    files = [tmp_path / f'in/{i}/image.png' for i in range(1500)]
    for i, file in enumerate(files):
        file.parent.mkdir(parents=True)
        file.write_bytes(i.to_bytes(2))
    export_folders(tmp_path / 'out', files, ['a'] * 1500)
    again = export_folders(tmp_path / 'out', files, ['a'] * 1500)
    assert (again['done'] == 'already there').all() and len(content(tmp_path / 'out')) == 1500


# Hostile names and files

NAMES = ['$\\frac{$', '<script>alert(1)<|script>', '=HYPERLINK("http:||x","y")', '-', '\u202egnp', '"a\'b', 'a&b<c>',
         '@{x}']


@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    "A run on images in folders and files with names that would be commands somewhere."
    folder = tmp_path_factory.mktemp('hostile')
    for i, (image, label) in enumerate(zip(TEST.images[:160], TEST.labels[:160] % len(NAMES))):
        place = folder / 'scans' / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f'=cmd({i})<img src=x onerror=alert(1)>.png')
    (folder / 'scans' / '=bad(1).txt').touch()
    images = load_images(folder / 'scans', 'folders')
    model = cluster_images(images, 'pixels', 'kmeans', len(NAMES))
    digests = images.done['digest'].to_numpy()
    told = [dict(name=name, none=False, members=digests[images.labels == name].tolist()) for name in set(images.labels)]
    run = OwnRun(images, model, Corrections(told, []))
    (folder / 'out').mkdir()
    write_own_run(folder / 'out', run)
    return folder / 'out', run


def test_names_that_are_commands_are_words_on_every_page(hostile):
    out, _ = hostile
    for name in ('report.html', 'review.html', 'map.html'):
        page = (out / name).read_text()
        assert 'onerror' in page or name == 'report.html'
        assert '<img src=x' not in page and '<script>alert' not in page
    assert len(list((out / 'clusters').iterdir())) >= 6 # with dollars in their titles


def test_no_cell_of_a_table_is_a_formula(hostile):
    out, run = hostile
    for name in ('labels.csv', 'skipped.csv', 'unhonoured.csv'):
        with open(out / name, newline='') as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell[:1] in set('=+@\t\r') or cell[:1] == '-' and len(cell) > 1]
    table = pd.read_csv(out / 'labels.csv')
    assert {"'=HYPERLINK(\"http:||x\",\"y\")", '-'} <= set(table['label'])
    exact = pd.read_parquet(out / 'labels.parquet')
    assert exact['file'].tolist() == run.images.names.tolist()
    assert table['file'].str.removeprefix("'").tolist() == exact['file'].tolist()


def test_a_table_without_formulas_is_as_pandas_writes_it(tmp_path):
    table = pd.DataFrame({'file': ['+/1.png', '-1.png', '=/2 b.png', '@2x/a_b.png', 'a=b(1)', None], 'n': [-1] * 6})
    write_csv(table, tmp_path / 'a.csv')
    table.to_csv(tmp_path / 'b.csv', index=False)
    assert (tmp_path / 'a.csv').read_text() == (tmp_path / 'b.csv').read_text()


@pytest.fixture(scope='module')
def kept_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kept') / 'model'
    ClusterModel('pixels', 'kmeans', n_clusters=4).fit(TEST.images[:60]).save(folder)
    return folder


@pytest.mark.parametrize('name', ['model.json', 'model.skops'])
@pytest.mark.parametrize('kind', ['pipe', '/dev/zero', 'folder', 'missing'])
def test_a_model_of_what_is_no_file_is_refused_and_nothing_waits(name, kind, kept_model, tmp_path):
    shutil.copytree(kept_model, tmp_path / 'model')
    file = tmp_path / 'model' / name
    file.unlink()
    if kind == 'pipe':
        os.mkfifo(file)
    elif kind == 'folder':
        file.mkdir()
    elif kind != 'missing':
        file.symlink_to(kind)
    with pytest.raises(ValueError, match='holds no saved model: give the folder'):
        ClusterModel.load(tmp_path / 'model')


@pytest.mark.parametrize('place', ['array', 'schema.json', 'new', 'matrix'])
def test_a_bomb_in_a_model_is_refused_before_it_is_unpacked(place, kept_model, tmp_path, monkeypatch):
    monkeypatch.setattr(room_of_images, 'MAX_UNPACKED', 2**20)
    shutil.copytree(kept_model, tmp_path / 'model')
    file = tmp_path / 'model' / 'model.skops'
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    first = next(name for name in parts if name.endswith('.npy'))
    matrix = io.BytesIO()
    np.savez_compressed(matrix, zeros=np.zeros(2**24, np.uint8))
    name = {'array': first, 'schema.json': 'schema.json', 'new': 'new', 'matrix': '0.npz'}[place]
    parts[name] = matrix.getvalue() if place == 'matrix' else b' ' * 2**24
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match='model cannot be read .it unpacks to more than 200 times its size'):
        ClusterModel.load(tmp_path / 'model')


class Lower(PixelFeatures):
    "Features that are not of the package."


def test_a_model_with_somebody_elses_classes_is_told_from_a_damaged_one(tmp_path):
    ClusterModel(Lower(), 'kmeans', n_clusters=4).fit(TEST.images[:60]).save(tmp_path / 'model')
    with pytest.raises(ValueError, match='model is not read .Untrusted.*Lower.*: a saved model may consist only'):
        ClusterModel.load(tmp_path / 'model')


def test_a_model_that_cannot_be_saved_leaves_the_earlier_one(kept_model, tmp_path, monkeypatch):
    shutil.copytree(kept_model, tmp_path / 'model')
    birch = Clusterer(make=lambda n, n_clusters, seed: Birch(n_clusters=n_clusters), title='Birch', about='a tree')
    monkeypatch.setitem(CLUSTERERS, 'birch', birch)
    model = ClusterModel('pixels', 'birch', n_clusters=4).fit(TEST.images[:60])
    with pytest.raises(ValueError, match='cannot be saved .Objects of type .*: choose features and a clusterer'):
        model.save(tmp_path / 'model')
    assert ClusterModel.load(tmp_path / 'model').clusterer == 'kmeans'


def test_a_blank_image_of_a_model_without_blank_ones_is_none_of_these(kept_model):
    model = ClusterModel.load(kept_model)
    found = model.assess(np.concatenate([np.zeros((1, 28, 28), np.uint8), TEST.images[:1]]))
    assert found.iloc[0].tolist() == [-1, 0, -1, np.inf] # as sure, and as strange, as all others that are none of these
    assert found['cluster'][1] == model.labels_[0] and found['strangeness'][1] < np.inf
    images = np.concatenate([np.zeros((2, 28, 28), np.uint8), TEST.images[:60]])
    with_blank = ClusterModel('pixels', 'kmeans', n_clusters=4).fit(images)
    assert with_blank.assess(images[:1]).iloc[0].tolist() == [with_blank.blank_, 1, -1, 0]


@pytest.mark.parametrize('kind', ['pipe', '/dev/zero', 'deep'])
def test_a_manifest_that_is_no_file_is_nobodys(kind, tmp_path):
    file = tmp_path / 'manifest.json'
    if kind == 'pipe':
        os.mkfifo(file)
    elif kind == 'deep':
        file.write_text('[' * 100_000)
    else:
        file.symlink_to(kind)
    assert read_manifest(tmp_path) == {'files': {}, 'folders': []}
