# Flink with Beam's jar and Meterbeam's Python worker: one image for JobManager and TaskManagers.
# Build in the root of a checkout: docker build -f infra/containers/flink.Dockerfile -t meterbeam-flink .
FROM maven:3.9-eclipse-temurin-17 AS beam
WORKDIR /build
COPY pipelines/cluster/beam_flink .
RUN mvn --quiet --batch-mode package

FROM flink:1.19.3-java17
USER root
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3 python3-venv make \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /opt/flink/plugins/s3-fs-hadoop /var/lib/flink \
    && cp /opt/flink/opt/flink-s3-fs-hadoop-*.jar /opt/flink/plugins/s3-fs-hadoop/ \
    && chown -R flink:flink /var/lib/flink
# Behind Flink's own jars on the class path, which is in alphabetical order.
COPY --from=beam /build/target/beam-flink.jar /opt/flink/lib/zz-beam-flink.jar
WORKDIR /opt/meterbeam
COPY pyproject.toml requirements.lock README.md LICENSE Makefile ./
COPY schemas schemas
COPY models models
COPY transforms transforms
COPY pipelines pipelines
RUN make setup && .venv/bin/python -c "import pipelines.cluster.boot_worker"
COPY infra/containers/python-worker /opt/meterbeam/python-worker
USER flink
