"""The site: every page has its place, links that lead out of it are taken away, and it builds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from doc_pages import ROOT

DOCS = ROOT / "docs"


def places(found):
    """Yield the pages that a part of the navigation names."""
    if isinstance(found, str):
        yield found
    for one in (
        found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    ):
        yield from places(one)


def test_every_page_has_one_place():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = list(places(settings["nav"]))
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[a](../src/a.py)", "a"),
        ("[a](spaces.md#x)", "[a](spaces.md#x)"),
        ("[a](methods/darts.md)", "[a](methods/darts.md)"),
        ("[a](#here)", "[a](#here)"),
        ("[a](https://host/path)", "[a](https://host/path)"),
    ],
)
def test_links_that_lead_out_become_words(link, shown):
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    assert hooks.on_page_markdown(f"see {link}.", page=page) == f"see {shown}."


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    reference = (tmp_path / "site" / "reference" / "index.html").read_text()
    assert 'id="supernet.pipeline.api.run"' in reference
    assert "<table" not in reference  # which would be wider than the page
