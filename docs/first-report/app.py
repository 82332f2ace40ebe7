import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/orders")
async def orders():
    time.sleep(0.2)  # a blocking client
    return {"orders": 3}


@app.get("/health")
async def health():
    return {"ok": True}
