"""The lake on disk: parts, commits, locks, views, maintenance."""
