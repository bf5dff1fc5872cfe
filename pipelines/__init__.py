"""What runs: sources, sinks, the lake, the pipelines and the command line."""
