// One exchange over TLS: AMQPS_PORT, CA and, to show a certificate, CERT and KEY say how.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import amqp from 'amqplib';

const { AMQPS_PORT, CA, CERT, KEY } = process.env;
const options = { ca: [readFileSync(CA)] };
if (CERT) Object.assign(options, { cert: readFileSync(CERT), key: readFileSync(KEY) });

const connection = await amqp.connect(`amqps://guest:guest@localhost:${AMQPS_PORT}/`, options);
const channel = await connection.createConfirmChannel();
const { queue } = await channel.assertQueue('', { exclusive: true });
const body = Buffer.alloc(300_000, 'x');
channel.sendToQueue(queue, body);
await channel.waitForConfirms();
const message = await channel.get(queue, { noAck: true });
assert.deepEqual(message.content, body);
await connection.close();
