// The npm package `@anthropic-ai/sdk`: messages, the count of their tokens, a beta, with its own retries.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { HELLO, model, NUTGATE_KEY, NUTGATE_POOR_KEY, NUTGATE_URL, QUESTION, refused, SAID, SCHEMA, step,
  WRONG_KEY } from './steps.mjs';

const clientOf = (apiKey) => new Anthropic({ apiKey, baseURL: NUTGATE_URL });
const client = clientOf(NUTGATE_KEY);
const requestOf = (text) => ({ model, max_tokens: 100, messages: [{ role: 'user', content: text }] });
const ask = (text, from = client, more = {}) => from.messages.create({ ...requestOf(text), ...more });
const text = (message) => message.content.map((block) => block.text ?? '').join('');
const counts = ({ usage }) => [usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens];

await step('chat', async () => {
  const message = await ask('hello');
  assert.equal(text(message), HELLO);
  assert.deepEqual([message.type, message.role, message.stop_reason], ['message', 'assistant', 'end_turn']);
  assert.deepEqual(counts(message), [40, 60, 20]);
});
await step('stream', async () => {
  const stream = client.messages.stream(requestOf('hello'));
  const pieces = [];
  stream.on('text', (delta) => pieces.push(delta));
  const message = await stream.finalMessage();
  assert.ok(pieces.length > 5, 'it comes in pieces');
  assert.equal(text(message), HELLO);
  assert.equal(message.stop_reason, 'end_turn');
  assert.deepEqual(counts(message), [40, 60, 20]);
});
for (const [name, is_streamed] of [['tools', false], ['tools streamed', true]]) {
  await step(name, async () => {
    const tools = [{ name: 'get_weather', description: 'Tells the weather.', input_schema: SCHEMA }];
    const messages = [{ role: 'user', content: QUESTION }];
    const request = { model, max_tokens: 100, system: 'Be brief.', messages, tools };
    const turn = () => is_streamed ? client.messages.stream(request).finalMessage() : client.messages.create(request);
    const { content, stop_reason } = await turn();
    assert.equal(stop_reason, 'tool_use');
    const call = content.find((block) => block.type === 'tool_use');
    assert.equal(call.name, 'get_weather');
    assert.deepEqual(call.input, { city: 'Paris' });
    messages.push({ role: 'assistant', content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '18 degrees' }] });
    assert.equal(text(await turn()), SAID);
  });
}
await step('object', async () => {
  const schema = { ...SCHEMA, additionalProperties: false };
  const message = await ask('hello', client, { output_config: { format: { type: 'json_schema', schema } } });
  assert.deepEqual(JSON.parse(text(message)), { city: 'Paris' });
});
await step(model === 'claude' ? 'count' : 'count by estimate', async () => {
  const { input_tokens } = await client.messages.countTokens({ model, messages: requestOf('hello').messages });
  // Anthropic's upstream counts; nobody does it for an upstream of OpenAI's kind.
  if (model === 'claude') assert.equal(input_tokens, 17);
  else assert.ok(input_tokens > 0 && input_tokens < 20);
});
if (model === 'claude') {
  await step('beta', async () => {
    // One that changes what is answered, and one that would reach into the seller's account.
    const betas = ['interleaved-thinking-2025-05-14', 'files-api-2025-04-14'];
    assert.equal(text(await client.beta.messages.create({ ...requestOf('hello'), betas })), HELLO);
  });
}

await step('wrong key', () => refused(ask('hello', clientOf(WRONG_KEY)), (error) => {
  assert.ok(error instanceof Anthropic.AuthenticationError);
  assert.deepEqual([error.error.type, error.error.error.type], ['error', 'authentication_error']);
}));
await step('no money', () => refused(ask('hello', clientOf(NUTGATE_POOR_KEY)), (error) => {
  assert.ok(error instanceof Anthropic.APIError);
  assert.deepEqual([error.status, error.error.type, error.error.error.type], [402, 'error', 'billing_error']);
  assert.match(error.message, /1000 msats\) available/);
}));
await step('no such model', () => refused(ask('hello', client, { model: 'nobody' }), (error) => {
  assert.ok(error instanceof Anthropic.BadRequestError);
  assert.equal(error.error.error.type, 'invalid_request_error');
}));
await step('busy, then not', async () => assert.equal(text(await ask('once 429 busy')), HELLO));
await step('broken, then not', async () => assert.equal(text(await ask('once 500 broken')), HELLO));
