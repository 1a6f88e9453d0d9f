// What a program with the OpenAI SDK does, and what it sees when things are wrong. Prints the sum of
// what the answers say they cost.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const { NUTGATE_URL, NUTGATE_KEY, NUTGATE_POOR_KEY } = process.env;
const clientOf = (apiKey) => new OpenAI({ apiKey, baseURL: `${NUTGATE_URL}/v1`, maxRetries: 0 });
const client = clientOf(NUTGATE_KEY);
const messages = [{ role: 'user', content: 'Count the words of this prompt, please.' }];
let spent = 0;

// A buffered answer, with its cost where the contract puts it.
{
  const { data, response } = await client.chat.completions
    .create({ model: 'demo', messages }).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.ok(data.choices[0].message.content.length > 0);
  assert.equal(data.choices[0].finish_reason, 'stop');
  const { prompt_tokens, completion_tokens, total_tokens, cost } = data.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  // The demo model costs 1000 msat per thousand tokens both ways: a millisatoshi each.
  assert.equal(cost.total_msats, total_tokens);
  assert.equal(cost.input_msats + cost.output_msats, cost.total_msats);
  assert.equal(response.headers.get('x-routstr-cost-msats'), String(cost.total_msats));
  assert.ok(response.headers.get('x-routstr-request-id'));
  assert.equal(typeof data.usage.remaining_balance_msats, 'number');
  spent += cost.total_msats;
}

// max_tokens and n are obeyed, and paid for.
{
  const data = await client.chat.completions.create({ model: 'demo', messages, max_tokens: 3, n: 2 });
  assert.equal(data.choices.length, 2);
  assert.equal(data.choices[0].finish_reason, 'length');
  assert.equal(data.usage.completion_tokens, 6);
  spent += data.usage.cost.total_msats;
}

// A stream: pieces, then one event with usage and cost although it was not asked for, then the end.
for (const options of [{}, { stream_options: { include_usage: true } }]) {
  const stream = await client.chat.completions.create({ model: 'demo', messages, stream: true, ...options });
  let text = '';
  const usages = [];
  let finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    if (chunk.usage) {
      assert.equal(chunk.choices.length, 0);
      usages.push(chunk.usage);
    }
  }
  assert.ok(text.length > 0);
  assert.equal(finish, 'stop');
  assert.equal(usages.length, 1, 'usage comes once');
  assert.equal(usages[0].cost.total_msats, usages[0].total_tokens);
  spent += usages[0].cost.total_msats;
}

// The SDK's own accumulation of a stream ends in the same text as the buffered call.
{
  const accumulated = await client.chat.completions.stream({ model: 'demo', messages }).finalChatCompletion();
  const buffered = await client.chat.completions.create({ model: 'demo', messages });
  assert.equal(accumulated.choices[0].message.content, buffered.choices[0].message.content);
  spent += accumulated.usage.cost.total_msats + buffered.usage.cost.total_msats;
}

// The list of models.
{
  const models = [];
  for await (const model of client.models.list()) models.push(model);
  const demo = models.find((model) => model.id === 'demo');
  assert.equal(demo.object, 'model');
  assert.ok(demo.sats_pricing.max_cost > 0);
}

// Errors reach the SDK as its own classes, with type, code and param as OpenAI's.
async function refused(kind, status, call, check = () => {}) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error?.message}`);
    assert.equal(error.status, status);
    assert.ok(error.message.length > 4);
    check(error);
    return true;
  });
}
const ask = (apiKey, body) => () => clientOf(apiKey).chat.completions.create({ model: 'demo', messages, ...body });

await refused(OpenAI.AuthenticationError, 401, ask(`sk-${'0'.repeat(64)}`),
  (error) => assert.equal(error.code, 'invalid_api_key'));
await refused(OpenAI.APIError, 402, ask(NUTGATE_POOR_KEY), (error) => {
  assert.equal(error.code, 'insufficient_balance');
  assert.equal(error.type, 'insufficient_quota');
});
await refused(OpenAI.APIError, 400, ask(NUTGATE_KEY, { model: 'no-such-model' }),
  (error) => assert.deepEqual([error.type, error.code, error.param], ['invalid_model', 'invalid_model', 'model']));
await refused(OpenAI.BadRequestError, 400, ask(NUTGATE_KEY, { max_tokens: -1 }),
  (error) => assert.equal(error.param, 'max_tokens'));
await refused(OpenAI.BadRequestError, 400, ask(NUTGATE_KEY, { messages: 'hello' }));
await refused(OpenAI.NotFoundError, 404, () => client.fineTuning.jobs.retrieve('x'));

console.log(`cost_msats ${spent}`);
