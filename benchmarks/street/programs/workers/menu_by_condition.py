"""`def` endpoints share a menu that one of them makes while the others wait for it on a threading.Condition.

[street]
endpoint = "GET /menu"
cause = "lock_wait"
culprit = "build_menu"
remedy = "lock_wait/signal"
load = [{path = "/menu", n = 180, clients = 6, pause = 0.02}]
needs = ["upstream"]
"""

import os
import threading
import time
from urllib.request import urlopen

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
changed = threading.Condition()
menu = {"dishes": None, "until": 0.0, "made": False}


def build_menu():
    with urlopen(f"{os.environ['STREET_UPSTREAM']}/90") as answer:  # CULPRIT
        return answer.read()


def menu_of_now():
    with changed:
        while menu["made"]:
            since = now()
            changed.wait()
            stamp(since)
        if menu["until"] > time.monotonic():
            return menu["dishes"]
        menu["made"] = True
    dishes = build_menu()
    with changed:
        menu.update(dishes=dishes, until=time.monotonic() + 0.12, made=False)
        changed.notify_all()
    return dishes


@app.get("/menu")
def get_menu():
    menu_of_now()
    return {"dishes": 12}
