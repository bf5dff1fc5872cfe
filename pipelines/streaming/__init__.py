"""Around the stream on Flink: its topics, its run, its committer, its alerts, its demo."""
