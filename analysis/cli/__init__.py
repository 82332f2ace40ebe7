"""The commands of `whywait` beyond `run`."""

from analysis.cli.application import main

__all__ = ["main"]
