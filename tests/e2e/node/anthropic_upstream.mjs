// A program with the OpenAI SDK whose model is Anthropic's: a call of a tool and its result, whole
// and streamed, thoughts, and errors. Prints the sum of what the answers say they cost.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const { NUTGATE_URL, NUTGATE_KEY } = process.env;
const client = new OpenAI({ apiKey: NUTGATE_KEY, baseURL: `${NUTGATE_URL}/v1`, maxRetries: 0 });
const model = 'small';
const tools = [{
  type: 'function',
  function: {
    name: 'get_weather', description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}];
let spent = 0;

// The two turns of a call: the SDK sends back what it was given.
async function tool_loop(ask) {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'What is the weather in Paris?' },
  ];
  const first = await ask({ model, messages, tools });
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  const message = first.choices[0].message;
  assert.equal(message.tool_calls.length, 1);
  const call = message.tool_calls[0];
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris' });
  assert.ok(message.reasoning_content.length > 0);
  messages.push(message, { role: 'tool', tool_call_id: call.id, content: '18 degrees' });
  const second = await ask({ model, messages, tools });
  assert.equal(second.choices[0].finish_reason, 'stop');
  assert.equal(second.choices[0].message.content, 'The tool said: 18 degrees');
  for (const { usage } of [first, second]) {
    assert.equal(usage.prompt_tokens, 100);
    assert.equal(usage.prompt_tokens_details.cached_tokens, 60);
    assert.equal(usage.completion_tokens, 20);
    spent += usage.cost.total_msats;
  }
}
await tool_loop((request) => client.chat.completions.create(request));
await tool_loop((request) => client.chat.completions.stream(request).finalChatCompletion());

// What can't be carried, and what Anthropic refuses, are errors of the client's with their reason.
const messages = [{ role: 'user', content: 'hello' }];
await assert.rejects(client.chat.completions.create({ model, messages, n: 2 }), (error) =>
  error instanceof OpenAI.BadRequestError && error.param === 'n');
await assert.rejects(
  client.chat.completions.create({ model, messages: [{ role: 'user', content: 'too long' }] }),
  (error) => error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded');
await assert.rejects(
  client.chat.completions.create({ model, messages: [{ role: 'user', content: 'overload' }] }),
  (error) => error instanceof OpenAI.InternalServerError);

// A stream that breaks in the middle is no answer to anybody.
await assert.rejects(client.chat.completions
  .stream({ model, messages: [{ role: 'user', content: 'break off' }] }).finalChatCompletion());

console.log(`cost_msats ${spent}`);
