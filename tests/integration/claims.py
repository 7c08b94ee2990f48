"""Several pytest at once: each runs what no other has claimed. tests/run.py starts them; without CROSSFED_CLAIMS nothing changes.

CROSSFED_CLAIMS is a folder that they share. All of them collect the same tests, which the file "tests" there names, and claim
one after the other by making a file. Tests that share what a fixture of their module made are claimed as one, in their order.
"""

import os
import pathlib


def unit_of(item):
    """Which claim a test belongs to."""
    shared = [name for name, defs in item._fixtureinfo.name2fixturedefs.items() if defs[-1].scope in ("module", "class")]
    return f"{item.module.__name__} {shared[0]}" if shared else item.nodeid


def claim(path, text=""):
    """Makes a file; false when it is there already."""
    try:
        with open(path, "x", encoding="utf-8") as f:
            f.write(text)
        return True
    except FileExistsError:
        return False


def pytest_runtestloop(session):
    folder = os.environ.get("CROSSFED_CLAIMS")
    if not folder or session.testsfailed:
        return None  # pytest's own
    units = {}
    for item in session.items:
        units.setdefault(unit_of(item), []).append(item)
    names = [f"{(item.cls or item.module).__name__}.{item.name}\n" for item in session.items]
    claim(pathlib.Path(folder, "tests"), "".join(names))
    ordered = sorted(units.values(), key=lambda items: (not items[0].get_closest_marker("long"), -len(items)))  # the longest first
    for number, items in enumerate(ordered):
        if claim(pathlib.Path(folder, str(number))):
            for item, after in zip(items, [*items[1:], session]):  # the session's fixtures stay for the next claim
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
    return True
