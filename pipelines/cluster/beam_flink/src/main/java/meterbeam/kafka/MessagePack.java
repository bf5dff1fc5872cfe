package meterbeam.kafka;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.beam.sdk.io.kafka.KafkaRecord;

/**
 * Messages as bytes, column by column, so that Python takes them apart without a loop over fields.
 *
 * <p>All numbers big-endian: count n (4 bytes), count of topics (4), each topic as length (4) and UTF-8;
 * then n numbers of topics (4 each), n partitions (4), n offsets (8), n lengths of values (4, -1 for a
 * message without a value), and the values one after the other. Keys, headers and times are left out.
 * {@code transforms/message_pack.py} reads it.
 */
final class MessagePack {
  /** Messages after which a pack is full. */
  private static final int MESSAGES = 4096;

  /** Bytes of values after which a pack is full. */
  private static final int BYTES = 1 << 20;

  private final Map<String, Integer> topics = new LinkedHashMap<>();
  private final ByteBuffer columns = ByteBuffer.allocate(MESSAGES * 20);
  private final ByteArrayOutputStream values = new ByteArrayOutputStream();
  private int count;

  boolean full() {
    return count >= MESSAGES || values.size() >= BYTES;
  }

  void add(KafkaRecord<byte[], byte[]> message) {
    Integer topic = topics.computeIfAbsent(message.getTopic(), name -> topics.size());
    byte[] value = message.getKV().getValue();
    columns.putInt(count * 4, topic);
    columns.putInt((MESSAGES + count) * 4, message.getPartition());
    columns.putLong(MESSAGES * 8 + count * 8, message.getOffset());
    columns.putInt((MESSAGES * 4 + count) * 4, value == null ? -1 : value.length);
    if (value != null) {
      values.write(value, 0, value.length);
    }
    count++;
  }

  byte[] toBytes() {
    int heads = 8;
    byte[][] names = new byte[topics.size()][];
    int place = 0;
    for (String topic : topics.keySet()) {
      names[place] = topic.getBytes(StandardCharsets.UTF_8);
      heads += 4 + names[place++].length;
    }
    ByteBuffer out = ByteBuffer.allocate(heads + count * 20 + values.size());
    out.putInt(count).putInt(names.length);
    for (byte[] name : names) {
      out.putInt(name.length).put(name);
    }
    byte[] held = columns.array();
    out.put(held, 0, count * 4);
    out.put(held, MESSAGES * 4, count * 4);
    out.put(held, MESSAGES * 8, count * 8);
    out.put(held, MESSAGES * 16, count * 4);
    out.put(values.toByteArray());
    return out.array();
  }
}
