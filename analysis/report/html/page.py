"""What all HTML pages share. Names from traces are untrusted: the template escapes them, `safe` removes control
characters, and the policy allows only the script with the given hash, and no loading."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whywait.analysis.report.colours import COLOURS, ink
from whywait.analysis.text import milliseconds, safe


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a page. The template escapes trace content."""
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(
        colours=COLOURS,
        inks={name: (ink(light), ink(dark)) for name, (light, dark) in COLOURS.items()},
        script=Markup(script),  # noqa: S704 - our own file, hashed as it stands
        script_hash=digest,
        **values,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("whywait.analysis.report.html", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(ms=milliseconds, safe_text=safe)
    return environment


@cache
def _script() -> str:
    text = files("whywait.analysis.report.html").joinpath("templates/page.js").read_text(encoding="utf-8")
    assert "</" not in text, "would end the script element"
    return text
