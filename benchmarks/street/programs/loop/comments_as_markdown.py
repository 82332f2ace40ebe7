"""A filter of a Jinja template turns each comment of a page from Markdown to HTML, on Quart's event loop.

[street]
endpoint = "GET /votes"
cause = "loop_busy"
culprit = "to_html"
remedy = "process pool|cache"
load = [{path = "/votes", n = 120, clients = 2, pause = 0.02}, {path = "/page", n = 60, pause = 0.02}]
amount = "overlap"
needs = ["quart", "markdown"]
"""

import markdown
from jinja2 import DictLoader
from quart import Quart, render_template
from stamps import now, stamp

PART = "## {}\n\nSome *text* with `code` and [a link](http://x/).\n\n* one\n* two\n\n"
COMMENTS = ["".join(PART.format(f"Part {i} of {n}") for i in range(12)) for n in range(12)]

app = Quart(__name__)
app.jinja_loader = DictLoader({"page.html": "{% for one in comments %}<div>{{ one|html }}</div>{% endfor %}"})


@app.template_filter("html")
def to_html(text):
    return markdown.markdown(text, extensions=["tables"])  # CULPRIT


@app.get("/page")
async def page():
    since = now()
    try:
        return await render_template("page.html", comments=COMMENTS)
    finally:
        stamp(since)


@app.get("/votes")
async def votes():
    return {"votes": 12}
