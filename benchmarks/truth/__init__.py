"""The benchmark of latency attribution with known truth: `python -m benchmarks.truth --help`.

Faults (`faults/`) are injected into a real FastAPI service under uvicorn and load. Each measures by itself what
it really did to its request and notes that apart from the tracer; `judge.py` then holds what whywait, and what
simpler rules over ordinary spans, say of the same requests against it.
"""
