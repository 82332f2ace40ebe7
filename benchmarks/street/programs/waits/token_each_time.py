"""httpx.Auth of one's own asks for a new token at each request, though the token is good for an hour.

[street]
endpoint = "GET /invoices"
cause = "await_io"
culprit = "invoices_of"
remedy = "await_io"
load = [{path = "/invoices", n = 12}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


class Token(httpx.Auth):
    requires_response_body = True

    def auth_flow(self, request):
        since = now()
        answer = yield httpx.Request("POST", os.environ["STREET_UPSTREAM"] + "/80")
        stamp(since)
        request.headers["Authorization"] = f"Bearer {answer.status_code}"
        yield request


client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"], auth=Token())


async def invoices_of(customer):
    return (await client.get("/8")).status_code  # CULPRIT


@app.get("/invoices")
async def invoices():
    return {"status": await invoices_of(7)}
