// Connections and names for the tests; nothing here knows which broker answers.
import { randomUUID } from 'node:crypto';
import amqp from 'amqplib';

export const url = process.env.AMQP_URL;

export const unique = (word) => `${word}-${randomUUID().slice(0, 8)}`;

// Run `work(connection)` and close the connection whatever happened.
export async function connected(work) {
  const connection = await amqp.connect(url);
  try {
    return await work(connection);
  } finally {
    await connection.close().catch(() => {}); // closed already, by the broker
  }
}

// A promise for the next event of that name.
export const next = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

// Consume `count` messages, acknowledging each.
export function take(channel, queue, count) {
  return new Promise((resolve, reject) => {
    const messages = [];
    channel
      .consume(queue, (message) => {
        if (message === null) return reject(new Error('the consumer was cancelled'));
        messages.push(message);
        channel.ack(message);
        if (messages.length === count) {
          channel.cancel(message.fields.consumerTag).then(() => resolve(messages), reject);
        }
      })
      .catch(reject);
  });
}
