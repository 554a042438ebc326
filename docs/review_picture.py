"Take the picture of the review page that its notebook shows: names typed into nbs/review.html, then nbs/review.png."
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

NAMES = ['1', '7', '9', '8', '4', '3']

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox'])
    page = browser.new_page(viewport={'width': 1280, 'height': 900})
    page.goto(Path('nbs/review.html').absolute().as_uri())
    page.locator('.name').first.click()
    for name in NAMES:
        page.keyboard.type(name)
        page.keyboard.press('Enter')
    page.evaluate('scrollTo(0, 0)')
    page.wait_for_timeout(500)
    picture = Image.open(BytesIO(page.screenshot())).convert('RGB').quantize(64)
    picture.save('nbs/review.png', optimize=True)
    browser.close()
