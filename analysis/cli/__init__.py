"""The commands of `whywait` beyond `run`."""

from whywait.analysis.cli.application import main

__all__ = ["main"]
