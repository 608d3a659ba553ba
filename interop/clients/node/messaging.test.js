// Work queues, publish and subscribe, requests and replies, as in RabbitMQ's JavaScript tutorials.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, next, take, unique } from './broker.js';

test('workers with a prefetch of one share the tasks', () =>
  connected(async (connection) => {
    const queue = unique('tasks');
    const boss = await connection.createConfirmChannel();
    await boss.assertQueue(queue, { durable: true });
    const done = [];
    const finished = new Promise((resolve) => {
      for (const name of ['a', 'b']) {
        connection.createChannel().then(async (channel) => {
          await channel.prefetch(1);
          await channel.consume(queue, (message) => {
            if (message === null) return; // the queue is deleted at the end
            done.push([name, message.content.toString()]);
            channel.ack(message);
            if (done.length === 20) resolve();
          });
        });
      }
    });
    for (let n = 0; n < 20; n++) boss.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true });
    await boss.waitForConfirms();
    await finished;
    const tasks = done.map(([, task]) => Number(task)).sort((x, y) => x - y);
    assert.deepEqual(tasks, [...Array(20).keys()]);
    await boss.deleteQueue(queue);
  }));

test('topic subscribers get what they asked for', () =>
  connected(async (connection) => {
    const exchange = unique('logs');
    const channel = await connection.createChannel();
    await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, 'kern.#');
    for (const key of ['kern', 'kern.critical', 'app.critical', 'kern.a.b']) {
      channel.publish(exchange, key, Buffer.from(key));
    }
    const messages = await take(channel, queue, 3);
    assert.deepEqual(messages.map((m) => m.fields.routingKey), ['kern', 'kern.critical', 'kern.a.b']);
  }));

test('direct reply-to answers the caller', () =>
  connected(async (connection) => {
    const server = await connection.createChannel();
    const { queue } = await server.assertQueue('', { exclusive: true });
    await server.consume(queue, (request) => {
      const { replyTo, correlationId } = request.properties;
      server.sendToQueue(replyTo, Buffer.from(`${request.content}!`), { correlationId });
      server.ack(request);
    });
    const client = await connection.createChannel();
    const replied = new Promise((resolve) => {
      client.consume('amq.rabbitmq.reply-to', resolve, { noAck: true }).then(() => {
        client.sendToQueue(queue, Buffer.from('hello'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' });
      });
    });
    const reply = await replied;
    assert.equal(reply.content.toString(), 'hello!');
    assert.equal(reply.properties.correlationId, '7');
  }));

test('properties, headers and a large body arrive as sent', () =>
  connected(async (connection) => {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const body = Buffer.alloc(1024 * 1024, 'žluť');
    const headers = { text: 'žluť', int: 5, long: 2 ** 40, double: 1.5, yes: true, nothing: null, list: [1, 'a'], table: { a: { b: 1 } } };
    const options = { headers, contentType: 'text/plain', messageId: 'm', timestamp: 1700000000, type: 't', appId: 'a', priority: 3, expiration: '60000' };
    channel.sendToQueue(queue, body, options);
    const [message] = await take(channel, queue, 1);
    assert.ok(message.content.equals(body));
    assert.deepEqual(message.properties.headers, headers);
    for (const [name, value] of Object.entries(options)) assert.deepEqual(message.properties[name], value);
  }));

test('get, nack and requeue', () =>
  connected(async (connection) => {
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    assert.equal(await channel.get(queue), false);
    channel.sendToQueue(queue, Buffer.from('1'));
    channel.sendToQueue(queue, Buffer.from('2'));
    await channel.waitForConfirms();
    const first = await channel.get(queue);
    assert.deepEqual([first.fields.messageCount, first.fields.redelivered], [1, false]);
    channel.nack(first);
    const again = await channel.get(queue);
    assert.deepEqual([again.content.toString(), again.fields.redelivered], ['1', true]);
    channel.nack(again, false, false);
    assert.equal((await channel.get(queue)).content.toString(), '2');
    channel.ackAll();
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 0 });
  }));

test('exchange to exchange bindings and headers exchanges', () =>
  connected(async (connection) => {
    const channel = await connection.createChannel();
    const [source, destination] = [unique('source'), unique('headers')];
    await channel.assertExchange(source, 'fanout', { durable: false, autoDelete: true });
    await channel.assertExchange(destination, 'headers', { durable: false, autoDelete: true });
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, destination, '', { 'x-match': 'all', colour: 'red', size: 3 });
    await channel.bindExchange(destination, source, '');
    channel.publish(source, '', Buffer.from('no'), { headers: { colour: 'red' } });
    channel.publish(source, '', Buffer.from('yes'), { headers: { colour: 'red', size: 3 } });
    const [message] = await take(channel, queue, 1);
    assert.equal(message.content.toString(), 'yes');
  }));

test('a deleted queue cancels its consumer with null', () =>
  connected(async (connection) => {
    const queue = unique('doomed');
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { durable: false });
    const cancelled = new Promise((resolve) => channel.consume(queue, resolve));
    await channel.checkQueue(queue);
    const other = await connection.createChannel();
    await other.deleteQueue(queue);
    assert.equal(await cancelled, null);
  }));

test('returned messages and their confirms', () =>
  connected(async (connection) => {
    const channel = await connection.createConfirmChannel();
    const returned = next(channel, 'return');
    channel.publish('amq.direct', unique('nobody'), Buffer.from('back'), { mandatory: true });
    await channel.waitForConfirms();
    const { fields, content } = await returned;
    assert.deepEqual([fields.replyCode, fields.replyText, content.toString()], [312, 'NO_ROUTE', 'back']);
  }));
