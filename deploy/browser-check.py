#!/usr/bin/env python3
"""A person's way through the hub's pages, in a real browser: headless Chromium from Debian, driven by Selenium.

Signs in with the one-time password, is made to set a new one, goes from the node list to a camera's day and to the player,
and watches across a segment boundary. Fails with a sentence; otherwise prints one JSON object with what was seen:
how far the picture's time went, the boundary it crossed, and how much the screenshots vary (a blank one does not).
"""
import argparse
import io
import json
import os
import sys
import time

from PIL import Image, ImageChops, ImageStat
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait


def start_browser(folder):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--window-size=1280,900", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={folder}/profile")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def first_line(path):
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


class Visit:
    def __init__(self, browser, options):
        self.browser, self.options, self.too_wide, self.complaints = browser, options, [], []

    def find(self, selector, seconds=15):
        """The first visible element like this; waits for it."""
        message = f"{self.browser.current_url} has no {selector}"
        return WebDriverWait(self.browser, seconds).until(lambda b: next((e for e in b.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()), None), message)

    def path(self):
        return "/" + self.browser.current_url.split("/", 3)[3].split("?")[0]

    def expect_path(self, path):
        WebDriverWait(self.browser, 15).until(lambda _: self.path() == path, f"expected the page {path}, but this is {self.path()}")

    def keep(self, name):
        """A screenshot for people, and whether the page would scroll sideways on a phone."""
        self.complaints += [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        if self.options.screenshots:
            self.browser.save_screenshot(f"{self.options.screenshots}/{name}.png")
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        wide, screen = self.browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        if self.options.screenshots:
            self.browser.save_screenshot(f"{self.options.screenshots}/{name}-phone.png")
        if wide > max(screen, 390) or screen > 400:
            self.too_wide.append(name)
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def sign_in(self, password):
        self.find("input[name=user]").clear()
        self.find("input[name=user]").send_keys(self.options.user)
        self.find("input[name=password]").send_keys(password)
        self.find("form[action^='/sign-in'] button, form[action^='/sign-in'] input[type=submit]").click()

    def enter(self):
        self.browser.get(self.options.url)
        self.expect_path("/sign-in")
        self.keep("1-sign-in")
        self.sign_in(first_line(self.options.password_file))
        self.expect_path("/set-password")
        # Whoever has only a one-time password gets nowhere else.
        self.browser.get(self.options.url)
        self.expect_path("/set-password")
        self.keep("2-set-password")
        password = first_line(self.options.new_password_file)
        self.find("input[name=new_password]").send_keys(password)
        self.find("input[name=new_password_again]").send_keys(password)
        self.find("form[action^='/set-password'] button, form[action^='/set-password'] input[type=submit]").click()
        self.expect_path("/")

    def walk(self):
        self.find("table#nodes")
        self.keep("3-nodes")
        self.find("a[data-node]").click()
        self.find("a[data-camera]")
        self.keep("4-node")
        self.find(f"a[data-camera='{self.options.camera}']").click()
        self.find("a[data-play]")
        self.keep("5-day")
        self.find("a[data-play]").click()
        return self.find("video#player")

    def state(self, video):
        script = """const v = arguments[0];
            return {time: v.currentTime, paused: v.paused, error: v.error && v.error.message, ready: v.readyState,
                    starts: JSON.parse(v.dataset.segmentStarts || '[]')}"""
        return self.browser.execute_script(script, video)

    def wait_state(self, video, seconds, what, condition):
        began, state = time.monotonic(), None
        while time.monotonic() - began < seconds:
            state = self.state(video)
            if state["error"]:
                raise AssertionError(f"the player failed: {state['error']}")
            if condition(state):
                return state
            time.sleep(0.1)
        raise AssertionError(f"waited {seconds} s in vain for {what}: {state}")

    def watch(self, video):
        state = self.wait_state(video, 20, "two segments and a picture", lambda s: len(s["starts"]) >= 2 and s["ready"] >= 2)
        self.browser.execute_script("arguments[0].muted = true; arguments[0].play()", video)
        began = self.wait_state(video, 10, "the player to run", lambda s: not s["paused"] and s["time"] > state["time"])
        boundaries = [start for start in began["starts"] if start > began["time"] + 0.3]
        if not boundaries:
            raise AssertionError(f"no segment boundary lies ahead of {began['time']} s: {began['starts']}")
        boundary = boundaries[0]
        first = self.picture(video)
        limit = boundary - began["time"] + 15
        after = self.wait_state(video, limit, f"the picture to cross the boundary at {boundary} s", lambda s: s["time"] > boundary + 0.5)
        second = self.picture(video)
        self.keep("6-player")
        spread = min(max(ImageStat.Stat(image).stddev) for image in (first, second))
        moved = max(ImageStat.Stat(ImageChops.difference(first, second)).mean)
        if spread < 8:
            raise AssertionError(f"the screenshot of the picture is blank (standard deviation {spread:.1f})")
        if moved == 0:
            raise AssertionError("the picture stands still: two screenshots seconds apart are the same")
        return {"from": began["time"], "to": after["time"], "boundary": boundary, "spread": round(spread, 1), "moved": round(moved, 3)}

    def watch_stand_ins(self):
        """The hub lacks some of the footage: its proxy plays and is marked, and where there are only thumbnails these are shown."""
        loaded = "return [...document.querySelectorAll('ol.strip img')].map(i => {i.loading = 'eager'; return i.complete ? i.naturalWidth : 0})"
        self.find("a[data-node]").click()
        self.find(f"a[data-camera='{self.options.camera}']").click()
        self.find("ol.strip img")
        widths = WebDriverWait(self.browser, 15).until(lambda b: (lambda found: found if found and all(found) else None)(b.execute_script(loaded)), "the thumbnails of the strip did not load")
        self.keep("7-strip")
        self.find("a[data-play]").click()
        video = self.find("video#player")
        self.find("button[data-ask]")
        index = self.browser.execute_async_script("fetch(arguments[0].dataset.index).then(a => a.json()).then(arguments[1])", video)
        proxies, stills = [s for s in index["segments"] if s.get("note")], index["stills"]
        if not proxies or not stills:
            raise AssertionError(f"the player's index has {len(proxies)} proxies and {len(stills)} thumbnails: {json.dumps(index)}")
        # From the footage over the border into its proxy, on which the player makes a new buffer where only one of them has sound.
        border = next((s["start"] for s, before in zip(index["segments"][1:], index["segments"]) if s.get("note") and not before.get("note")), None)
        if border is None:
            raise AssertionError("no proxy follows footage")
        self.wait_state(video, 20, "a picture", lambda s: s["ready"] >= 2)
        self.browser.execute_script("arguments[0].muted = true; arguments[0].currentTime = arguments[1]; arguments[0].play()", video, border - 2)
        self.wait_state(video, 30, f"the picture to go from footage into its proxy at {border} s", lambda s: s["time"] > border + 1 and s["ready"] >= 2 and not s["paused"])
        marked = self.find("#note").text
        if "small picture" not in marked:
            raise AssertionError(f"the proxy is marked with {marked!r}")
        spread = max(ImageStat.Stat(self.picture(video)).stddev)
        if spread < 8:
            raise AssertionError(f"the screenshot of the proxy is blank (standard deviation {spread:.1f})")
        self.keep("8-proxy")
        self.browser.execute_script("arguments[0].currentTime = arguments[1]", video, stills[0]["start"] + 0.5)
        image = self.find("#still")
        shown = lambda b: b.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image)
        WebDriverWait(self.browser, 15).until(shown, "the thumbnail was not shown")
        first = image.get_attribute("src")
        if "thumbnails" not in self.find("#note").text:
            raise AssertionError(f"the thumbnail is marked with {self.find('#note').text!r}")
        if any(s["address"] != stills[0]["address"] for s in stills):
            WebDriverWait(self.browser, 15).until(lambda _: image.get_attribute("src") != first, "the next thumbnail did not follow")
        self.keep("9-still")
        # With the keyboard: back on the same page, which now says that the footage was asked for.
        page = self.path()
        self.find("button[data-ask]").send_keys(Keys.ENTER)
        self.find("#coming")
        self.expect_path(page)
        return {"strip": len(widths), "proxies": len(proxies), "stills": len(stills), "border": border}

    def picture(self, video):
        return Image.open(io.BytesIO(video.screenshot_as_png)).convert("RGB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", required=True, help="holds the one-time password")
    parser.add_argument("--new-password-file", required=True)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--profile", required=True, metavar="DIR", help="an empty folder for the browser's own files")
    parser.add_argument("--stand-ins", action="store_true", help="look at proxies and thumbnails in the place of footage that the hub lacks")
    parser.add_argument("--screenshots", metavar="DIR", help="keep a screenshot of every page there")
    options = parser.parse_args()
    browser = start_browser(options.profile)
    visit = Visit(browser, options)
    try:
        visit.enter()
        seen = visit.watch_stand_ins() if options.stand_ins else visit.watch(visit.walk())
        refused = [line for line in visit.complaints if "Content Security Policy" in line]
        if refused:
            raise AssertionError(f"the pages break their own Content-Security-Policy: {refused[0]}")
        if visit.too_wide:
            raise AssertionError(f"wider than a phone's screen: {', '.join(visit.too_wide)}")
        print(json.dumps(seen | {"complaints": visit.complaints}))
    except Exception as error:  # whatever it is, the page it happened on says more than a stack
        if options.screenshots:
            browser.save_screenshot(f"{options.screenshots}/failed.png")
        print(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} at {browser.current_url}", file=sys.stderr)
        for line in visit.complaints + [entry["message"] for entry in browser.get_log("browser")]:
            print(f"  console: {line}", file=sys.stderr)
        sys.exit(1)
    finally:
        browser.quit()


main()
