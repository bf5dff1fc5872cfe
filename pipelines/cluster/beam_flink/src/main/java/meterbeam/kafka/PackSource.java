package meterbeam.kafka;

import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.io.UnboundedSource;
import org.apache.beam.sdk.io.kafka.KafkaCheckpointMark;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.beam.sdk.options.PipelineOptions;
import org.checkerframework.checker.nullness.qual.Nullable;

/** A Kafka source whose elements are packs; partitions, offsets and watermarks are those of Beam's own. */
final class PackSource extends UnboundedSource<byte[], KafkaCheckpointMark> {
  private final UnboundedSource<KafkaRecord<byte[], byte[]>, KafkaCheckpointMark> messages;

  PackSource(UnboundedSource<KafkaRecord<byte[], byte[]>, KafkaCheckpointMark> messages) {
    this.messages = messages;
  }

  @Override
  public List<PackSource> split(int desired, PipelineOptions options) throws Exception {
    return messages.split(desired, options).stream()
        .map(PackSource::new)
        .collect(Collectors.toList());
  }

  @Override
  public UnboundedReader<byte[]> createReader(
      PipelineOptions options, @Nullable KafkaCheckpointMark mark) throws IOException {
    return new PackReader(this, messages.createReader(options, mark));
  }

  @Override
  public Coder<KafkaCheckpointMark> getCheckpointMarkCoder() {
    return messages.getCheckpointMarkCoder();
  }

  @Override
  public Coder<byte[]> getOutputCoder() {
    return ByteArrayCoder.of();
  }

  @Override
  public void validate() {
    messages.validate();
  }
}
