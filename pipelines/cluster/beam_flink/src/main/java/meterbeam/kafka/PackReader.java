package meterbeam.kafka;

import java.io.IOException;
import java.util.NoSuchElementException;
import org.apache.beam.sdk.io.UnboundedSource;
import org.apache.beam.sdk.io.UnboundedSource.CheckpointMark;
import org.apache.beam.sdk.io.UnboundedSource.UnboundedReader;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.joda.time.Instant;

/**
 * Takes messages until there are none at the moment, or enough, and hands them on as one pack.
 *
 * <p>A checkpoint comes between two packs, never within one: Beam asks for the offsets only after it has
 * taken the current element.
 */
final class PackReader extends UnboundedReader<byte[]> {
  /** A pack is handed on after this time: where messages trickle in, none waits for the next ones. */
  private static final long LONGEST_NS = 20_000_000;

  private final PackSource source;
  private final UnboundedReader<KafkaRecord<byte[], byte[]>> messages;
  private byte[] pack;
  private Instant latest;

  PackReader(PackSource source, UnboundedReader<KafkaRecord<byte[], byte[]>> messages) {
    this.source = source;
    this.messages = messages;
  }

  @Override
  public boolean start() throws IOException {
    return fill(messages.start());
  }

  @Override
  public boolean advance() throws IOException {
    return fill(messages.advance());
  }

  private boolean fill(boolean found) throws IOException {
    pack = null;
    latest = null;
    if (!found) {
      return false;
    }
    long began = System.nanoTime();
    MessagePack open = new MessagePack();
    while (found) {
      open.add(messages.getCurrent());
      Instant at = messages.getCurrentTimestamp();
      latest = latest == null || at.isAfter(latest) ? at : latest;
      boolean enough = open.full() || System.nanoTime() - began >= LONGEST_NS;
      found = !enough && messages.advance();
    }
    pack = open.toBytes();
    return true;
  }

  @Override
  public byte[] getCurrent() {
    if (pack == null) {
      throw new NoSuchElementException("no pack: the last call found no message");
    }
    return pack;
  }

  @Override
  public Instant getCurrentTimestamp() {
    if (pack == null) {
      throw new NoSuchElementException("no pack: the last call found no message");
    }
    return latest;
  }

  @Override
  public Instant getWatermark() {
    return messages.getWatermark();
  }

  @Override
  public CheckpointMark getCheckpointMark() {
    return messages.getCheckpointMark();
  }

  @Override
  public long getSplitBacklogBytes() {
    return messages.getSplitBacklogBytes();
  }

  @Override
  public UnboundedSource<byte[], ?> getCurrentSource() {
    return source;
  }

  @Override
  public void close() throws IOException {
    messages.close();
  }
}
