"""Figures for notebooks: each function takes an analysis and returns a plotly figure, such as
`figures.request_timeline(result)`; none of them shows it. Their background is transparent, for light and dark
pages."""

from whywait.analysis.figures.bars import collection, where_time_went
from whywait.analysis.figures.change import change
from whywait.analysis.figures.culprits import culprits_and_victims
from whywait.analysis.figures.load import causes_over_load
from whywait.analysis.figures.timeline import request_timeline

__all__ = ["causes_over_load", "change", "collection", "culprits_and_victims", "request_timeline", "where_time_went"]
