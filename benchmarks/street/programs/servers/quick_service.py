"""A service without a fault: a dictionary is looked up and answered.

[street]
endpoint = "GET /item"
cause = "none"
culprit = ""
remedy = ""
load = [{path = "/item", n = 60, clients = 1, pause = 0.005}]
"""

from fastapi import FastAPI

app = FastAPI()
items = {number: f"item {number}" for number in range(100)}


@app.get("/item")
async def item():
    return {"item": items[7]}
