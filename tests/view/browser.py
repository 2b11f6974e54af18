"""browser.py RUN BOTH OTHER: opens RUN/report.html, and BOTH, the report of OTHER and RUN, in headless Chromium: no error,
no request but for the file itself, nothing wider than the window, light and dark, play and step, with and without
JavaScript, and the figures of metrics.jsonl and of the trace."""
import glob
import json
import os
import re
import sys
import time

import h5py
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By


def open_browser():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def emulate(browser, scheme, width):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})


def check_quiet(browser, url):
    """What the page asked for since the last look, and what the console said."""
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    outside = [address for address in asked if address != url and not address.startswith("data:")]
    assert url in asked and not outside, outside
    said = browser.get_log("browser")
    assert not said, said


def luminance(browser, element, what):
    colour = element.value_of_css_property(what)
    parts = [float(part) for part in colour[colour.index("(") + 1:-1].split(",")[:3]]
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055)**2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def check_looks(browser, url):
    """Nothing is wider than the window, and texts stand out from their ground, in both schemes."""
    grounds = {}
    for scheme in ("light", "dark"):
        for width in (400, 1600):
            emulate(browser, scheme, width)
            browser.get(url)
            wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
            assert wide == [width, width], (scheme, wide)
            over = browser.execute_script(
                "return [...document.querySelectorAll('figure, svg, h1, p, button')].filter(e => "
                "e.getBoundingClientRect().right > window.innerWidth + 0.5).length")
            assert over == 0, f"{over} elements leave a window of {width}"
            check_quiet(browser, url)
        body = browser.find_element(By.TAG_NAME, "body")
        panel = luminance(browser, browser.find_element(By.TAG_NAME, "figure"), "background-color")
        grounds[scheme] = luminance(browser, body, "background-color")
        assert contrast(luminance(browser, body, "color"), grounds[scheme]) > 7
        for name in ("text", "muted"):
            text = browser.find_element(By.CSS_SELECTOR, f"figure svg text.f-{name}")
            assert contrast(luminance(browser, text, "fill"), panel) > 4.5, (scheme, name)
        for line in browser.find_elements(By.CSS_SELECTOR, ".s-blue, .s-vermilion"):
            assert contrast(luminance(browser, line, "stroke"), panel) > 3, (scheme, line.get_attribute("class"))
    assert grounds["light"] > 0.8 and grounds["dark"] < 0.05, grounds


def check_alternatives(browser):
    figures = browser.find_elements(By.CSS_SELECTOR, "figure > svg")
    assert len(figures) > 10
    for figure in figures:
        assert figure.get_attribute("role") == "img" and len(figure.get_attribute("aria-label")) > 30
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    for field in browser.find_elements(By.TAG_NAME, "input"):
        assert field.get_attribute("aria-label")


def cells(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(table => [...table.rows].map(row => "
        "[...row.cells].map(cell => cell.textContent)))", selector)


def check_numbers(browser, run, which):
    """`which`: the table of the run on the page."""
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for kind, selector in (("epoch", "table.epochs"), ("eval", "table.evals")):
        table = cells(browser, selector)[which]
        wanted = [row for row in rows if row["kind"] == kind]
        assert len(table) == len(wanted) + 1, (kind, len(table), len(wanted))
        for got, row in zip(table[1:], wanted):
            for name, text in zip(table[0], got):
                value = text if isinstance(row[name], str) else type(row[name])(text)
                assert value == row[name], (kind, name, text, row[name])


def trace_figures(run):
    with h5py.File(max(glob.glob(f"{glob.escape(run)}/traces/test-*")) + "/index.h5") as file:
        prob, label = file["trace/prob"][()], file["trace/label"][()]
    said = prob.mean(axis=1).argmax(axis=2)  # (sample, glimpse)
    sure = prob[:, :, -1].mean(axis=1, dtype=float).max(axis=1)
    wrong = np.flatnonzero(said[:, -1] != label)
    mistakes = wrong[np.argsort(-sure[wrong], kind="stable")][:12]
    confusion = np.zeros((prob.shape[3],) * 2, int)
    np.add.at(confusion, (label, said[:, -1]), 1)
    return 100 * (said != label[:, None]).mean(axis=0), confusion, mistakes, sure


def check_policy(browser, run, which):
    """The chart of the movements, by its text alternative: first and last recorded epoch."""
    wanted = []
    for path in sorted(glob.glob(f"{glob.escape(run)}/traces/epoch-*")):
        with h5py.File(f"{path}/index.h5") as file:
            looked = file["trace/location"][:, :, :-1].astype(float)
        travel = np.hypot(*np.moveaxis(np.diff(looked, axis=2), -1, 0)).mean()
        spread = np.sqrt(looked[:, :, 1:].var(axis=(0, 1)).sum(axis=-1).mean())
        wanted.append((travel, spread))
    chart = browser.find_elements(By.CSS_SELECTOR, "svg[aria-label^='How far']")[which].get_attribute("aria-label")
    for name, series in zip(("from glimpse to glimpse", "spread over images"), zip(*wanted)):
        first, last = re.search(f"{name}: (\\S+) at first, (\\S+) at {len(wanted) - 1}\\.", chart).groups()
        assert np.allclose([float(first), float(last)], [series[0], series[-1]], rtol=1e-3), (chart, series)


def check_trace(browser, run, which):
    errors, confusion, mistakes, sure = trace_figures(run)
    table = cells(browser, "table.glimpse-errors")[which]
    assert np.allclose([float(row[1]) for row in table[1:]], errors, rtol=1e-8), (table, errors)
    wrong = confusion.sum() - np.trace(confusion)
    told = browser.find_elements(By.CSS_SELECTOR, "[data-mistakes]")[which].get_attribute("data-mistakes")
    assert int(told) == wrong, (told, wrong)
    film = browser.find_elements(By.CLASS_NAME, "film")[2 * which + 1]
    shown = [int(text.get_attribute("textContent").split()[1]) for text in film.find_elements(By.TAG_NAME, "figcaption")]
    assert np.allclose(sure[shown], sure[mistakes], rtol=1e-6) and len(set(shown)) == len(mistakes), (shown, mistakes)
    matrix = browser.find_elements(By.CSS_SELECTOR, "svg[aria-label^='Confusion']")[which]
    assert f"{wrong} of {confusion.sum()} images" in matrix.get_attribute("aria-label")
    numbers = [text.get_attribute("textContent") for text in matrix.find_elements(By.CSS_SELECTOR, "text[font-size='9']")]
    assert [int(number) for number in numbers] == [count for count in confusion.ravel() if count], numbers


def check_summary(browser, run):
    table = {row[0]: row[1:] for row in cells(browser, "#summary")[0]}
    column = table[""].index(os.path.basename(run))
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        tests = [row for row in map(json.loads, file) if row.get("split") == "test"]
    for policy, name in (("sample", "Test error"), ("random", "Test error, random locations"),
                         ("center", "Test error, centre alone")):
        row = [row for row in tests if row["policy"] == policy][-1]
        text = f"{row['error']:.2f} % (95 %: {row['low']:.2f} to {row['high']:.2f}), {row['wrong']} of {row['images']} wrong"
        assert table[name][column].startswith(text), (table[name], text)
    keys = {row[0]: row[1:] for row in cells(browser, "#configuration")[0]}
    assert keys["model.hidden"][0] == "256" and keys["model.hidden"][1 + column] == "16", keys


def shown_steps(browser, film):
    return browser.execute_script(
        "return [...new Set([...arguments[0].querySelectorAll('[data-step]')].filter(part => "
        "getComputedStyle(part).visibility === 'visible').map(part => Number(part.dataset.step)))].sort()", film)


def shown_labels(browser, film):
    return browser.execute_script(
        "return [...new Set([...arguments[0].querySelectorAll('.only')].filter(part => "
        "getComputedStyle(part).visibility === 'visible').map(part => Number(part.dataset.step)))]", film)


def check_player(browser):
    film = browser.find_element(By.CLASS_NAME, "film")
    back, play, forward = film.find_elements(By.TAG_NAME, "button")
    slider, told = film.find_element(By.TAG_NAME, "input"), film.find_element(By.TAG_NAME, "output")
    steps = int(slider.get_attribute("max"))
    every = list(range(1, steps + 1))
    assert shown_steps(browser, film) == every and told.text == f"all {steps} glimpses" and not forward.is_enabled()
    for at in range(steps - 1, 0, -1):
        back.click()
        assert shown_steps(browser, film) == every[:at] and told.text == f"glimpse {at} of {steps}", told.text
        assert slider.get_property("value") == str(at) and shown_labels(browser, film) == [at]
    assert not back.is_enabled()
    forward.click()
    assert shown_steps(browser, film) == every[:2]
    browser.execute_script("arguments[0].value = 1; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert shown_steps(browser, film) == [1]
    play.click()
    assert play.text == "Pause" and shown_steps(browser, film) == [1, 2]
    play.click()
    assert play.text == "Play"
    back.click()
    play.click()
    seen, end = set(), time.monotonic() + 30
    while play.text == "Pause" and time.monotonic() < end:
        seen.add(len(shown_steps(browser, film)))
    assert seen >= set(every[1:]) and shown_steps(browser, film) == every and play.text == "Play", seen
    other = browser.find_elements(By.CLASS_NAME, "film")[1]
    back.click()
    assert shown_steps(browser, other) == every, "one player moves another's pictures"


def check_without_script(browser, url):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(url)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    check_quiet(browser, url)
    assert not browser.find_element(By.CLASS_NAME, "player").is_displayed()
    film = browser.find_element(By.CLASS_NAME, "film")
    assert shown_labels(browser, film) == [int(film.find_element(By.TAG_NAME, "input").get_attribute("max"))]
    assert len(shown_steps(browser, film)) == int(film.find_element(By.TAG_NAME, "input").get_attribute("max"))


def main(run, both, other):
    browser = open_browser()
    try:
        url = "file://" + os.path.abspath(f"{run}/report.html")
        check_looks(browser, url)
        check_alternatives(browser)
        check_summary(browser, run)
        check_numbers(browser, run, 0)
        check_trace(browser, run, 0)
        check_policy(browser, run, 0)
        check_player(browser)
        said = browser.get_log("browser")
        assert not said, said
        check_without_script(browser, url)
        url = "file://" + os.path.abspath(both)
        check_looks(browser, url)
        check_alternatives(browser)
        assert browser.find_element(By.TAG_NAME, "h1").text == f"{other}, {run}"
        assert not browser.find_elements(By.TAG_NAME, "i"), "a run's name became markup"
        for which, each in enumerate((other, run)):
            check_summary(browser, each)
            check_numbers(browser, each, which)
            check_trace(browser, each, which)
            check_policy(browser, each, which)
    finally:
        browser.quit()
    print("browser: all as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
