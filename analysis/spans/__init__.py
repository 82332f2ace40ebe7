"""Pure: which spans, requests and activities there are."""
