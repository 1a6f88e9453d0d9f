// What every program here has in common: its place, its keys, and steps that wait to be checked.
import assert from 'node:assert/strict';
import fs from 'node:fs';

export const { NUTGATE_URL, NUTGATE_KEY, NUTGATE_POOR_KEY, NUTGATE_FACE: face, NUTGATE_MODEL: model } = process.env;
export const WRONG_KEY = `sk-${'0'.repeat(64)}`;
export const HELLO = 'Hello there.';
export const SAID = 'The tool said: 18 degrees';
export const QUESTION = 'What is the weather in Paris?';
export const SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

// Done; it goes on when the money was counted.
export async function step(name, act) {
  await act();
  console.log(`step ${name}`);
  fs.readSync(0, Buffer.alloc(1));
}

export async function refused(call, check) {
  await assert.rejects(call, (error) => {
    try {
      check(error);
    } catch (why) {
      why.message += `\nof ${error?.stack}`;
      throw why;
    }
    return true;
  });
}
