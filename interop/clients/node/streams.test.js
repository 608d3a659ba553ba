// Streams: several readers, each from where it likes, with a prefetch as credit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, next, unique } from './broker.js';

const STREAM = { durable: true, arguments: { 'x-queue-type': 'stream' } };

// Run `work(connection, stream)` with a stream of ten messages, and delete it.
const withStream = (work) =>
  connected(async (connection) => {
    const stream = unique('stream');
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(stream, STREAM);
    for (let n = 0; n < 10; n++) channel.sendToQueue(stream, Buffer.from(`m${n}`), { headers: { n } });
    await channel.waitForConfirms();
    await work(connection, stream, channel);
    await channel.deleteQueue(stream);
  });

// Read `count` messages, acknowledging each; `offset` as x-stream-offset.
async function read(connection, stream, offset, count) {
  const channel = await connection.createChannel();
  await channel.prefetch(3);
  const messages = [];
  await new Promise((resolve, reject) => {
    const options = { arguments: { 'x-stream-offset': offset } };
    channel
      .consume(stream, (message) => {
        if (message === null) return; // the stream is deleted at the end
        messages.push(message);
        channel.ack(message);
        if (messages.length === count) resolve();
      }, options)
      .catch(reject);
  });
  return messages;
}

test('readers are independent, and offsets are numbers', () =>
  withStream(async (connection, stream) => {
    const starts = [['first', 10], [0, 10], [6, 4], ['1h', 10]];
    const all = await Promise.all(starts.map(([start, count]) => read(connection, stream, start, count)));
    starts.forEach(([, count], place) => {
      const offsets = all[place].map((message) => message.properties.headers['x-stream-offset']);
      assert.deepEqual(offsets, [...Array(10).keys()].slice(10 - count));
      assert.deepEqual(all[place].map((message) => message.properties.headers.n), offsets);
      assert.deepEqual(all[place].map((message) => message.content.toString()), offsets.map((n) => `m${n}`));
      assert.ok(all[place].every((message) => !message.fields.redelivered));
    });
  }));

test('a timestamp is a place in a stream', () =>
  withStream(async (connection, stream) => {
    const hourAgo = { '!': 'timestamp', value: Math.floor(Date.now() / 1000) - 3600 };
    assert.equal((await read(connection, stream, hourAgo, 10)).length, 10);
  }));

test('without a prefetch there is no consuming', () =>
  withStream(async (connection, stream) => {
    const channel = await connection.createChannel();
    const failed = next(channel, 'error');
    await assert.rejects(channel.consume(stream, () => {}), /406/);
    assert.equal((await failed).code, 406);
  }));
