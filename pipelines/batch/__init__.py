"""Around a backfill: its passes and workers, the sources it follows, its detect run."""
