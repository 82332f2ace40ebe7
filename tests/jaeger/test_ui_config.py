"""The configuration of Jaeger's UI: what the UI knows, taken by the real binary, and its links as the UI makes them."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from testbed import chromium
from testbed.jaeger_server import UI_CONFIG, Jaeger
from whywait.tracer import schema

# jaeger-ui v2.20.0, packages/jaeger-ui/src/types/config.ts
KNOWN = {
    "archiveEnabled", "criticalPathEnabled", "dependencies", "menu", "search", "scripts", "traceIdDisplayLength",
    "topTagPrefixes", "tracking", "linkPatterns", "monitor", "traceGraph", "disableFileUploadControl",
    "disableJsonView", "forbidNewPage", "themes", "traceTimeline", "useOpenTelemetryTerms", "tracing",
}  # fmt: skip
OF_A_PATTERN = {"type", "key", "value", "url", "text"}
# what link-patterns.ts makes of a pattern: a string with #{names}, or parameters and a function of their values
LINKS = """(tags) => UIConfig().linkPatterns.flatMap((pattern) => {
  if (!(pattern.key in tags) || (pattern.value && !pattern.value(tags[pattern.key]))) return [];
  const made = (one, quote) => {
    const names = typeof one === "string"
      ? [...one.matchAll(/#{([^{}]*)}/g)].map((match) => match[1]) : one.parameters;
    if (names.some((name) => tags[name] === undefined)) return null;
    return typeof one === "string" ? one.replace(/#{([^{}]*)}/g, (_, name) => quote(tags[name])) : one.template(tags);
  };
  const url = made(pattern.url, encodeURIComponent), text = made(pattern.text, (value) => value);
  return url && text ? [[url, text]] : [];
})"""


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    if chromium.program() is None:
        pytest.skip("no Chromium: Debian's package is called chromium")
    with chromium.page() as opened:
        opened.run(UI_CONFIG.read_text() + "\n0")
        yield opened


def links(page: chromium.Page, tags: dict[str, Any]) -> list[list[str]]:
    found: list[list[str]] = page.run(f"({LINKS})({json.dumps(tags)})")
    return found


def test_it_holds_only_what_the_ui_knows(page: chromium.Page) -> None:
    config = page.run("JSON.parse(JSON.stringify(UIConfig()))")
    assert set(config) <= KNOWN
    for pattern in config["linkPatterns"]:
        assert set(pattern) <= OF_A_PATTERN
        assert pattern["type"] == "tags"
    assert page.complaints == []


def test_its_tags_are_those_of_the_contract(page: chromium.Page) -> None:
    keys = {value for value in vars(schema).values() if isinstance(value, str)}
    config = page.run("JSON.parse(JSON.stringify(UIConfig()))")
    for pattern in config["linkPatterns"]:
        assert pattern["key"] in keys, pattern
        if isinstance(pattern["url"], dict):
            assert {*pattern["url"]["parameters"], *pattern["text"]["parameters"]} <= keys
    for prefix in config["topTagPrefixes"]:
        assert prefix in {"code.", "thread.", "http."} or any(key.startswith(prefix) for key in keys), prefix


def test_a_wait_leads_to_who_caused_it(page: chromium.Page) -> None:
    tags = {schema.BLOCKER_FUNCTION: "hold <b>", schema.BLOCKER_TRACE_ID: "b" * 32, schema.BLOCKER_SPAN_ID: "c" * 16}
    assert links(page, tags) == [[f"/trace/{'b' * 32}?uiFind={'c' * 16}", "who delayed it: hold <b>"]]
    assert links(page, {schema.BLOCKER_FUNCTION: "nobody's callback"}) == []


def test_the_lists_open_one_by_one(page: chromium.Page) -> None:
    """As Jaeger gives lists to its UI: as text."""
    tags = {
        schema.OCCUPANT_NAMES: json.dumps(["rank", "nobody's", "score"]),
        schema.OCCUPANT_TRACE_IDS: json.dumps(["a" * 32, "", "b" * 32]),
        schema.OCCUPANT_SPAN_IDS: json.dumps(["1" * 16, "", "2" * 16]),
        schema.OCCUPANT_NS: json.dumps([4_000_000, 3_000_000, 1_500_000]),
    }
    assert links(page, tags) == [
        [f"/trace/{'a' * 32}?uiFind={'1' * 16}", "had the pool: rank, 4.0 ms"],
        [f"/trace/{'b' * 32}?uiFind={'2' * 16}", "had the pool: score, 1.5 ms"],
    ]
    assert links(page, {schema.OCCUPANT_TRACE_IDS: "no list"}) == []


@pytest.mark.jaeger
def test_the_real_binary_takes_it(jaeger: Jaeger) -> None:
    with urlopen(jaeger.query_url + "/search", timeout=30) as answer:
        served = answer.read().decode()
    if "JAEGER_CONFIG" not in served and "UIConfig" not in served:
        pytest.skip("this binary's UI is a placeholder that takes no configuration; it started with the file")
    assert schema.BLOCKER_TRACE_ID in served
