"""What a change would bring: the recorded requests, replayed on the same resources and on changed ones.

programs ── replay ── holds ── steps ── recorded ── changes ── calibration ── whatif
"""
