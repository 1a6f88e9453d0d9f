// Sounds by the OpenAI SDK: the fields in whatever order, the file from a disk and from memory.
// Prints how many were sold.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';

const { NUTGATE_URL, NUTGATE_KEY, SOUND, SOUND_SHA256 } = process.env;
const client = new OpenAI({ apiKey: NUTGATE_KEY, baseURL: `${NUTGATE_URL}/v1`, maxRetries: 0 });
let sounds = 0;

const forms = [
  () => ({ model: 'sound', file: fs.createReadStream(SOUND) }),
  () => ({ file: fs.createReadStream(SOUND), model: 'sound' }),
  () => ({ model: 'sound', response_format: 'json', file: fs.createReadStream(SOUND) }),
  () => ({ file: fs.createReadStream(SOUND), model: 'sound', response_format: 'json' }),
];
for (const form of forms) {
  const { text } = await client.audio.transcriptions.create(form());
  assert.equal(text, SOUND_SHA256);
  ++sounds;
}

// A small one, whose format stands behind the file.
{
  const file = await toFile(Buffer.alloc(64 * 1024, 'RIFF'), 'small.wav');
  const { text } = await client.audio.transcriptions.create({ model: 'sound', file, response_format: 'json' });
  assert.equal(text.length, 64);
  ++sounds;
}

// A large one: what is wrong is said, and costs nothing.
await assert.rejects(
  () => client.audio.transcriptions.create({ model: 'sound', file: fs.createReadStream(SOUND), prompt: 'speak' }),
  (error) => error instanceof OpenAI.BadRequestError && error.code === 'field_after_file' && error.param === 'prompt',
);

console.log(`sounds ${sounds}`);
