// What amqplib reports when the broker refuses something.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import amqp from 'amqplib';
import { connected, next, unique, url } from './broker.js';

test('a missing queue closes the channel with 404', () =>
  connected(async (connection) => {
    const channel = await connection.createChannel();
    channel.on('error', () => {}); // the promise tells
    await assert.rejects(channel.checkQueue('missing'), (error) => {
      assert.equal(error.code, 404);
      assert.match(error.message, /404 \(NOT-FOUND\) with message "NOT_FOUND - no queue 'missing' in vhost '\/'"/);
      return true;
    });
    const { queue } = await (await connection.createChannel()).assertQueue('', { exclusive: true });
    assert.match(queue, /^amq\.gen-/);
  }));

test('publishing to a missing exchange is an error event of the channel', () =>
  connected(async (connection) => {
    const channel = await connection.createChannel();
    const failed = next(channel, 'error');
    channel.publish('nowhere', 'key', Buffer.from('x'));
    const error = await failed;
    assert.equal(error.code, 404);
    assert.match(error.message, /NOT_FOUND - no exchange 'nowhere' in vhost '\/'/);
  }));

test('a redeclaration with other flags is refused with 406', () =>
  connected(async (connection) => {
    const queue = unique('flags');
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    await channel.assertQueue(queue, { durable: false });
    await assert.rejects(channel.assertQueue(queue, { durable: true }), { code: 406 });
    await (await connection.createChannel()).deleteQueue(queue);
  }));

test('a consumer tag used twice closes the connection with 530', async () => {
  const connection = await amqp.connect(url);
  const failed = next(connection, 'error');
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.consume(queue, () => {}, { consumerTag: 'me' });
  channel.consume(queue, () => {}, { consumerTag: 'me' }).catch(() => {});
  const error = await failed;
  assert.equal(error.code, 530);
  assert.match(error.message, /NOT_ALLOWED - attempt to reuse consumer tag 'me'/);
});

test('a wrong password is refused with 403', async () => {
  const wrong = url.replace('guest:guest', 'guest:wrong');
  await assert.rejects(amqp.connect(wrong), /403 \(ACCESS-REFUSED\).*ACCESS_REFUSED - Login was refused/);
});

test('a missing vhost is refused', async () => {
  // All that amqplib tells of it.
  await assert.rejects(amqp.connect(url.replace('%2F', 'nowhere')), /Expected ConnectionOpenOk; got <ConnectionClose/);
});

test('an update of the secret is accepted', () =>
  connected(async (connection) => {
    await connection.updateSecret(Buffer.from('new'), 'rotation');
  }));
