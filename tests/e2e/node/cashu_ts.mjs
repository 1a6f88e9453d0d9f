// An outside wallet at the embedded mint, and a buyer who pays with what it holds.
import assert from 'node:assert/strict';
import { CheckStateEnum, Wallet, decodePaymentRequest, getEncodedToken } from '@cashu/cashu-ts';

const { NUTGATE_URL } = process.env;
const MINT = `${NUTGATE_URL}/mint`;

async function until(what, condition) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function call(path, { key, body, method = body ? 'POST' : 'GET', headers = {} } = {}) {
  const answer = await fetch(NUTGATE_URL + path, {
    method,
    headers: {
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...(key ? { authorization: `Bearer ${key}` } : {}),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  try {
    return { status: answer.status, ...JSON.parse(text) };
  } catch {
    throw new Error(`${path}: ${answer.status}: not JSON: ${text.slice(0, 200)}`);
  }
}

const wallet = new Wallet(MINT, { unit: 'sat', bip39seed: new Uint8Array(64).fill(7), requireSigDleq: true });
await wallet.loadMint();

// Minting: the simulated network pays the invoice by itself.
async function mint(sats) {
  const quote = await wallet.createMintQuoteBolt11(sats);
  assert.match(quote.request, /^lnbcrt/);
  await until('the quote is paid', async () =>
    (await wallet.checkMintQuoteBolt11(quote.quote)).state === 'PAID');
  return wallet.mintProofsBolt11(sats, quote.quote);
}
const sum = (proofs) => proofs.reduce((total, proof) => total + Number(proof.amount), 0);
const tokenOf = (proofs) => getEncodedToken({ mint: MINT, unit: 'sat', proofs });

let purse = await mint(3000);
assert.equal(sum(purse), 3000);
async function take(sats) {
  const { keep, send } = await wallet.send(sats, purse);
  assert.equal(sum(send), sats);
  purse = keep;
  return send;
}

// A token as bearer: redeemed on the spot, the same key for the same token, and once only.
const bearerProofs = await take(1000);
const bearer = tokenOf(bearerProofs);
const chat = await call('/v1/chat/completions', {
  key: bearer, body: { model: 'demo', messages: [{ role: 'user', content: 'paid with ecash' }] },
});
assert.equal(chat.status, 200, JSON.stringify(chat));
const info = await call('/v1/balance/info', { key: bearer });
assert.equal(info.status, 200);
assert.match(info.api_key, /^sk-[0-9a-f]{64}$/);
await until('the charge is posted', async () =>
  (await call('/v1/balance/info', { key: info.api_key })).balance
    === 1_000_000 - chat.usage.cost.total_msats);
for (const state of await wallet.checkProofsStates(bearerProofs)) {
  assert.equal(state.state, CheckStateEnum.SPENT);
}

// create: the same token asked again gives the same key and no second credit.
const paid = tokenOf(await take(500));
const created = await call('/v1/balance/create', { body: { initial_balance_token: paid } });
assert.equal(created.status, 200, JSON.stringify(created));
assert.match(created.api_key, /^sk-[0-9a-f]{64}$/);
assert.equal(created.balance, 500_000);
const again = await call('/v1/balance/create', { body: { initial_balance_token: paid } });
assert.equal(again.api_key, created.api_key);
assert.equal(again.balance, 500_000);

// A top-up.
const topped = await call('/v1/balance/topup', {
  key: created.api_key, body: { cashu_token: tokenOf(await take(250)) },
});
assert.equal(topped.msats, 250_000, JSON.stringify(topped));

// The refund is a token that the outside wallet can redeem; asked again it is the same token.
const refund = await call('/v1/balance/refund', { key: created.api_key, method: 'POST' });
assert.equal(refund.status, 200, JSON.stringify(refund));
assert.equal(refund.sats, '750');
assert.match(refund.token, /^cashuB/);
const repeated = await call('/v1/balance/refund', { key: created.api_key, method: 'POST' });
assert.equal(repeated.token, refund.token);
const redeemed = await wallet.receive(refund.token);
assert.equal(sum(redeemed), 750);
purse = [...purse, ...redeemed];

// The bearer's refund: whole sats; what is below one stays on the key.
const rest = await call('/v1/balance/refund', { key: bearer, method: 'POST' });
const wholeSats = Math.floor((1_000_000 - chat.usage.cost.total_msats) / 1000);
assert.equal(rest.sats, String(wholeSats), JSON.stringify(rest));
assert.equal((await call('/v1/balance/info', { key: bearer })).balance,
  1_000_000 - chat.usage.cost.total_msats - 1000 * wholeSats);
purse = [...purse, ...(await wallet.receive(rest.token))];

// A token that this wallet swapped already is refused by its own name, on every door, and nothing
// is credited.
const swapped = tokenOf(await take(64));
purse = [...purse, ...(await wallet.receive(swapped))];
const refusals = [
  await call('/v1/balance/create', { body: { initial_balance_token: swapped } }),
  await call('/v1/balance/topup', { key: info.api_key, body: { cashu_token: swapped } }),
  await call('/v1/chat/completions', {
    key: swapped, body: { model: 'demo', messages: [{ role: 'user', content: 'again' }] },
  }),
];
for (const refusal of refusals) {
  assert.equal(refusal.status, 400, JSON.stringify(refusal));
  assert.equal(refusal.error.code, 'cashu_token_already_spent');
  assert.equal(refusal.error.type, 'token_already_spent');
  assert.deepEqual(refusal.detail.error, refusal.error);
}

// A refund token redeemed elsewhere is as spent as any.
const reused = await call('/v1/balance/create', { body: { initial_balance_token: refund.token } });
assert.equal(reused.error.code, 'cashu_token_already_spent');

// Not a token.
const garbage = await call('/v1/balance/create', { body: { initial_balance_token: 'cashuBnonsense' } });
assert.equal(garbage.status, 400);
assert.equal(garbage.error.code, 'invalid_cashu_token');

// A token of the node's own keysets is its own money, whatever URL the sender wrote into it.
const renamed = getEncodedToken({ mint: 'https://mint.example.com', unit: 'sat', proofs: await take(8) });
const known = await call('/v1/balance/create', { body: { initial_balance_token: renamed } });
assert.equal(known.status, 200, JSON.stringify(known));
assert.equal(known.balance, 8_000);

// A request for a token: this wallet reads both of its texts, and pays it where they say.
const asked = await call('/v1/balance/request', {
  body: { amount_sats: 100, mints: [MINT], description: 'a hundred sats of answers' },
});
assert.equal(asked.status, 200, JSON.stringify(asked));
for (const text of [asked.creqA, asked.creqB]) {
  const request = decodePaymentRequest(text);
  assert.equal(request.id, asked.request_id);
  assert.equal(Number(request.amount), 100);
  assert.equal(request.unit, 'sat');
  assert.equal(request.singleUse, true);
  assert.deepEqual(request.mints, [MINT]);
  assert.equal(request.description, 'a hundred sats of answers');
  assert.equal(request.getTransport('post').target, asked.url);
}
assert.match(asked.creqA, /^creqA/);
assert.match(asked.creqB, /^CREQB1/);
const path = new URL(decodePaymentRequest(asked.creqA).getTransport('post').target).pathname;
assert.equal((await call(path)).status, 'pending');
const payment = (proofs) => ({
  id: asked.request_id, mint: MINT, unit: 'sat',
  proofs: proofs.map((proof) => ({ ...proof, amount: Number(proof.amount) })),
});
const tooLittle = await take(60);
const unfit = await call(path, { body: payment(tooLittle) });
assert.equal(unfit.error.code, 'payment_unfit', JSON.stringify(unfit));
purse = [...purse, ...tooLittle];
const enough = await take(100);
for (let i = 0; i < 2; i++) {
  const taken = await call(path, { body: payment(enough) });
  assert.equal(taken.amount_received_msats, 100_000, JSON.stringify(taken));
}
const byRequest = await call(path);
assert.match(byRequest.api_key, /^sk-[0-9a-f]{64}$/);
const second = await call(path, { body: payment(tooLittle) });
assert.notEqual(second.error, undefined);
assert.equal((await call('/v1/balance/info', { key: byRequest.api_key })).balance, 100_000);
const more = await call('/v1/balance/request', {
  key: byRequest.api_key, body: { single_use: false, unit: 'sat' },
});
assert.equal(more.amount, null);
assert.equal((await call('/v1/balance/request', { body: { mints: ['https://x.example'] } })).error.param,
  'mints');

// Whatever happened above, the wallet's money is there, none lost and none made.
const states = await wallet.checkProofsStates(purse);
assert.ok(states.every((state) => state.state === CheckStateEnum.UNSPENT));
assert.equal(sum(purse), 3000 - 1000 - 500 - 250 + 750 + wholeSats - 8 - 100);

// From the seed alone, NUT-09 finds the same proofs again.
const restored = new Wallet(MINT, { unit: 'sat', bip39seed: new Uint8Array(64).fill(7) });
await restored.loadMint();
const found = await restored.batchRestore();
const secrets = new Set(found.proofs.map((proof) => proof.secret));
assert.ok(purse.every((proof) => secrets.has(proof.secret)));

console.log('done');
