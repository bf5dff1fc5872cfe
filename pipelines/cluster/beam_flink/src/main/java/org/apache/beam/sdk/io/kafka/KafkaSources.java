package org.apache.beam.sdk.io.kafka;

import org.apache.beam.sdk.io.UnboundedSource;

/** Hands out the source behind a {@link KafkaIO.Read}, which Beam shows to its own package only. */
public final class KafkaSources {
  private KafkaSources() {}

  /** The source that the transform would read from. */
  public static <K, V> UnboundedSource<KafkaRecord<K, V>, KafkaCheckpointMark> of(
      KafkaIO.Read<K, V> read) {
    return read.makeSource();
  }
}
