"""A real Flink cluster and a real Kafka broker on this machine, without containers.

::

    with embedded_kafka(folder / "kafka") as broker, embedded_flink(folder / "flink") as flink:
        broker.create_topics({"readings": 2})
        options = PipelineOptions(streaming_options("my-job", flink, Streaming(parallelism=2)))
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | ReadFromKafka(
            {
                "bootstrap.servers": broker.address,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": "false",
            },
            ["readings"],
            timestamp_policy="CreateTime",
            expansion_service=flink.expansion_service,
        )
        pipeline.run()
        job = flink.rest.job_id("my-job")
        flink.rest.wait_until_running(job)
        savepoint = flink.rest.stop(job)

The imports: :mod:`pipelines.cluster.kafka`, :mod:`pipelines.cluster.flink`,
:mod:`pipelines.cluster.beam_options`. A bounded job takes ``bounded_options``. Functions of a pipeline
stand in importable modules, never in ``__main__``.
"""
