// Vercel's AI SDK: its providers for OpenAI (responses, or chats), for Anthropic, and for whoever is
// compatible with OpenAI; embeddings and images; with its own retries.
import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateImage, generateText, isStepCount, jsonSchema, Output, streamText, tool }
  from 'ai';
import { face, HELLO, model, NUTGATE_KEY, NUTGATE_POOR_KEY, NUTGATE_URL, QUESTION, refused, SAID, SCHEMA, step,
  WRONG_KEY } from './steps.mjs';

const baseURL = `${NUTGATE_URL}/v1`;
const modelOf = {
  // Each of the two that talk of chats, with the model that it would be taken for.
  chat: (apiKey, name) => name === 'claude'
    ? createOpenAICompatible({
      name: 'nutgate', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true,
    })(name)
    : createOpenAI({ baseURL, apiKey }).chat(name),
  responses: (apiKey, name) => createOpenAI({ baseURL, apiKey })(name),
  messages: (apiKey, name) => createAnthropic({ baseURL, apiKey })(name),
}[face];
const ask = (prompt, apiKey = NUTGATE_KEY, name = model) =>
  generateText({ model: modelOf(apiKey, name), prompt, maxOutputTokens: 100 });
// Of Anthropic's counts the SDK makes a sum; ours of a chat is one already.
const INPUT = model === 'claude' ? 110 : 100;

await step('chat', async () => {
  const { text, usage, finishReason } = await ask('hello');
  assert.equal(text, HELLO);
  assert.equal(finishReason, 'stop');
  assert.deepEqual([usage.inputTokens, usage.outputTokens], [INPUT, 20]);
});
await step('stream', async () => {
  const stream = streamText({
    model: modelOf(NUTGATE_KEY, model), prompt: 'hello', maxOutputTokens: 100, onError({ error }) { throw error; },
  });
  const pieces = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  assert.ok(pieces.length > 5, 'it comes in pieces');
  assert.equal(pieces.join(''), HELLO);
  const usage = await stream.usage;
  assert.deepEqual([usage.inputTokens, usage.outputTokens], [INPUT, 20]);
});
for (const [name, is_streamed] of [['tools', false], ['tools streamed', true]]) {
  await step(name, async () => {
    const asked = [];
    const tools = {
      get_weather: tool({
        description: 'Tells the weather.', inputSchema: jsonSchema(SCHEMA),
        async execute(input) { asked.push(input); return '18 degrees'; },
      }),
    };
    // The SDK goes round by itself: call, result, answer.
    const request = { model: modelOf(NUTGATE_KEY, model), system: 'Be brief.', prompt: QUESTION, tools,
      maxOutputTokens: 100, stopWhen: isStepCount(5) };
    const text = is_streamed ? await streamText(request).text : (await generateText(request)).text;
    assert.deepEqual(asked, [{ city: 'Paris' }]);
    assert.equal(text, SAID);
  });
}
await step('object', async () => {
  const { output } = await generateText({ model: modelOf(NUTGATE_KEY, model), prompt: QUESTION, maxOutputTokens: 100,
    output: Output.object({ schema: jsonSchema(SCHEMA) }) });
  assert.deepEqual(output, { city: 'Paris' });
});

if (face === 'chat' && model === 'small') {
  const openai = createOpenAI({ baseURL, apiKey: NUTGATE_KEY });
  await step('embeddings', async () => {
    const { embeddings, usage } = await embedMany({ model: openai.embedding('embed'), values: ['one', 'three'] });
    assert.deepEqual(embeddings, [[3, 0.5, -0.25], [5, 0.5, -0.25]]);
    assert.equal(usage.tokens, 16);
  });
  await step('images', async () => {
    const { image } = await generateImage({ model: openai.image('paint'), prompt: 'a cat', size: '1024x1024' });
    assert.equal(image.mediaType, 'image/png');
  });
}

function is_answer(status, code) {
  return (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.deepEqual([error.statusCode, error.isRetryable], [status, false]);
    const said = JSON.parse(error.responseBody).error;
    assert.equal(said.code, code);
    // What a program shows of it.
    assert.equal(error.message, said.message);
  };
}
await step('wrong key', () => refused(ask('hello', WRONG_KEY), is_answer(401, 'invalid_api_key')));
await step('no money', () => refused(ask('hello', NUTGATE_POOR_KEY), is_answer(402, 'insufficient_balance')));
await step('no such model', () => refused(ask('hello', NUTGATE_KEY, 'nobody'), is_answer(400, 'invalid_model')));
await step('busy, then not', async () => assert.equal((await ask('once 429 busy')).text, HELLO));
await step('broken, then not', async () => assert.equal((await ask('once 500 broken')).text, HELLO));
