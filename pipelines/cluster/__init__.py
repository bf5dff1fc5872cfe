"""A real Flink cluster and a real Kafka broker on this machine, without containers: fetched, started, ended."""
