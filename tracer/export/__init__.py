"""The cold side: spans of finished requests, to files and collectors, by a thread of its own."""
