"""A redis subscription is looked at ten times a second (`get_message`, then a sleep), though it could be awaited.

After https://github.com/redis/redis-py/issues/3412 and the loop that many copy from its documentation.

[street]
endpoint = "GET /reply"
cause = "await_io"
culprit = "reply_on"
remedy = "await_io/polling"
load = [{path = "/reply", n = 12, clients = 2}]
needs = ["redis"]
"""

import asyncio
import os

import redis.asyncio as redis
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
store = redis.Redis.from_url(os.environ["STREET_REDIS"])


async def answer_later(channel):
    await asyncio.sleep(0.22)
    await store.publish(channel, "yes")


async def reply_on(subscription):
    while True:
        found = await subscription.get_message(ignore_subscribe_messages=True, timeout=0)
        if found:
            return found["data"]
        since = now()
        await asyncio.sleep(0.1)  # CULPRIT
        stamp(since)


@app.get("/reply")
async def reply():
    channel = f"reply-{now()}"
    async with store.pubsub() as subscription:
        await subscription.subscribe(channel)
        answering = asyncio.create_task(answer_later(channel))
        found = await reply_on(subscription)
        await answering
    return {"reply": found.decode()}
