package meterbeam.kafka;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.expansion.ExternalTransformRegistrar;
import org.apache.beam.sdk.io.Read;
import org.apache.beam.sdk.io.kafka.KafkaIO;
import org.apache.beam.sdk.io.kafka.KafkaSources;
import org.apache.beam.sdk.transforms.ExternalTransformBuilder;
import org.apache.beam.sdk.transforms.PTransform;
import org.apache.beam.sdk.values.PBegin;
import org.apache.beam.sdk.values.PCollection;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.joda.time.Duration;

/**
 * Kafka topics as packs of messages: {@link KafkaIO} reads, and many messages leave as one element.
 *
 * <p>What a message costs on its way from Java to Python is the element, not its bytes. The layout of a
 * pack is in {@link MessagePack}.
 */
public final class ReadPacks extends PTransform<PBegin, PCollection<byte[]>> {
  private final Settings settings;

  private ReadPacks(Settings settings) {
    this.settings = settings;
  }

  @Override
  public PCollection<byte[]> expand(PBegin begin) {
    KafkaIO.Read<byte[], byte[]> read =
        KafkaIO.<byte[], byte[]>read()
            .withConsumerConfigUpdates(new HashMap<String, Object>(settings.consumer))
            .withTopics(settings.topics)
            .withKeyDeserializerAndCoder(ByteArrayDeserializer.class, ByteArrayCoder.of())
            .withValueDeserializerAndCoder(ByteArrayDeserializer.class, ByteArrayCoder.of());
    read = settings.createTime ? read.withCreateTime(Duration.ZERO) : read.withProcessingTime();
    return begin.apply(Read.from(new PackSource(KafkaSources.of(read))));
  }

  /** What Python says; the names are those of its payload. */
  public static final class Settings {
    private Map<String, String> consumer;
    private List<String> topics;
    private Boolean createTime;

    /** Settings of Kafka's consumer. */
    public void setConsumer(Map<String, String> consumer) {
      this.consumer = consumer;
    }

    /** Topics to read, all partitions of each. */
    public void setTopics(List<String> topics) {
      this.topics = topics;
    }

    /** Whether event time is the message's own; otherwise it is the clock's. */
    public void setCreateTime(Boolean createTime) {
      this.createTime = createTime;
    }
  }

  /** Makes the transform. */
  public static final class Builder
      implements ExternalTransformBuilder<Settings, PBegin, PCollection<byte[]>> {
    @Override
    public PTransform<PBegin, PCollection<byte[]>> buildExternal(Settings settings) {
      return new ReadPacks(settings);
    }
  }

  /** Makes the transform known to Beam's expansion service. */
  public static final class Registrar implements ExternalTransformRegistrar {
    @Override
    public Map<String, Class<? extends ExternalTransformBuilder<?, ?, ?>>> knownBuilders() {
      return Map.of("meterbeam:transform:read_kafka_packs:v1", Builder.class);
    }
  }
}
