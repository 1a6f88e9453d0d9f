// The npm package `openai`: chats or responses, embeddings and images, with its own retries.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { face, HELLO, model, NUTGATE_KEY, NUTGATE_POOR_KEY, NUTGATE_URL, QUESTION, refused, SAID, SCHEMA, step,
  WRONG_KEY } from './steps.mjs';

const clientOf = (apiKey) => new OpenAI({ apiKey, baseURL: `${NUTGATE_URL}/v1` });
const client = clientOf(NUTGATE_KEY);
const about = { name: 'get_weather', description: 'Tells the weather.', parameters: SCHEMA };

const chats = {
  ask: (text, from = client, name = model) =>
    from.chat.completions.create({ model: name, messages: [{ role: 'user', content: text }] }),
  object: (schema) => client.chat.completions.create({ model, messages: [{ role: 'user', content: QUESTION }],
    response_format: { type: 'json_schema', json_schema: { name: 'place', strict: true, schema } } }),
  text: (answer) => answer.choices[0].message.content,
  counts: ({ usage }) => [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens],
  async stream(text) {
    const stream = client.chat.completions.stream({ model, messages: [{ role: 'user', content: text }] });
    const pieces = [];
    stream.on('content', (delta) => pieces.push(delta));
    return [pieces, await stream.finalChatCompletion()];
  },
  async loop(is_streamed) {
    const tools = [{ type: 'function', function: about }];
    const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: QUESTION }];
    const turn = () => is_streamed
      ? client.chat.completions.stream({ model, messages, tools }).finalChatCompletion()
      : client.chat.completions.create({ model, messages, tools });
    const { finish_reason, message } = (await turn()).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    const [call] = message.tool_calls;
    messages.push(message, { role: 'tool', tool_call_id: call.id, content: '18 degrees' });
    return [call.function.name, call.function.arguments, chats.text(await turn())];
  },
};

const responses = {
  ask: (text, from = client, name = model) => from.responses.create({ model: name, input: text }),
  object: (schema) => client.responses.create({ model, input: QUESTION,
    text: { format: { type: 'json_schema', name: 'place', strict: true, schema } } }),
  text: (answer) => answer.output_text,
  counts: ({ usage }) => [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens],
  async stream(text) {
    const stream = client.responses.stream({ model, input: text });
    const pieces = [];
    stream.on('response.output_text.delta', ({ delta }) => pieces.push(delta));
    return [pieces, await stream.finalResponse()];
  },
  async loop(is_streamed) {
    const tools = [{ type: 'function', strict: false, ...about }];
    const input = [{ role: 'user', content: QUESTION }];
    const turn = () => is_streamed
      ? client.responses.stream({ model, input, tools }).finalResponse()
      : client.responses.create({ model, input, tools });
    const { output } = await turn();
    const call = output.find((item) => item.type === 'function_call');
    input.push(...output, { type: 'function_call_output', call_id: call.call_id, output: '18 degrees' });
    return [call.name, call.arguments, (await turn()).output_text];
  },
};

const { ask, object, text, counts, stream, loop } = face === 'responses' ? responses : chats;
// What is written to a cache is part of a prompt here.
const COUNTS = [model === 'claude' ? 110 : 100, 60, 20];

await step('chat', async () => {
  const answer = await ask('hello');
  assert.equal(text(answer), HELLO);
  assert.deepEqual(counts(answer), COUNTS);
});
await step('stream', async () => {
  const [pieces, answer] = await stream('hello');
  assert.ok(pieces.length > 5, 'it comes in pieces');
  assert.equal(pieces.join(''), HELLO);
  assert.deepEqual(counts(answer), COUNTS);
});
for (const [name, is_streamed] of [['tools', false], ['tools streamed', true]]) {
  await step(name, async () => {
    const [called, argument, said] = await loop(is_streamed);
    assert.equal(called, 'get_weather');
    assert.deepEqual(JSON.parse(argument), { city: 'Paris' });
    assert.equal(said, SAID);
  });
}
await step('object', async () => assert.deepEqual(JSON.parse(text(await object(SCHEMA))), { city: 'Paris' }));

if (face === 'chat' && model === 'small') {
  await step('embeddings', async () => {
    const { data, usage } = await client.embeddings.create({ model: 'embed', input: ['one', 'three'] });
    assert.deepEqual(data.map(({ embedding }) => embedding), [[3, 0.5, -0.25], [5, 0.5, -0.25]]);
    assert.equal(usage.prompt_tokens, 16);
  });
  await step('images', async () => {
    const { data } = await client.images.generate({ model: 'paint', prompt: 'a cat', size: '1024x1024' });
    assert.equal(Buffer.from(data[0].b64_json, 'base64').subarray(1, 4).toString(), 'PNG');
  });
}

await step('wrong key', () => refused(ask('hello', clientOf(WRONG_KEY)), (error) => {
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, 'invalid_api_key');
}));
await step('no money', () => refused(ask('hello', clientOf(NUTGATE_POOR_KEY)), (error) => {
  assert.ok(error instanceof OpenAI.APIError);
  assert.deepEqual([error.status, error.code, error.type], [402, 'insufficient_balance', 'insufficient_quota']);
  assert.match(error.message, /1000 msats\) available/);
}));
await step('no such model', () => refused(ask('hello', client, 'nobody'), (error) => {
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.deepEqual([error.code, error.param], ['invalid_model', 'model']);
}));
await step('busy, then not', async () => assert.equal(text(await ask('once 429 busy')), HELLO));
await step('broken, then not', async () => assert.equal(text(await ask('once 500 broken')), HELLO));
