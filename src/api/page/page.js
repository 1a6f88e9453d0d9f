'use strict';
const at = id => document.getElementById(id);
const say = (id, text, bad = false) => {
  at(id).textContent = text;
  at(id).classList.toggle('bad', bad);
};
const sats = msat => (msat / 1000).toLocaleString('en', { maximumFractionDigits: 3 }) + ' sat';

async function call(path, { key, body, method } = {}) {
  const headers = {};
  if (key) headers.authorization = 'Bearer ' + key;
  if (body) headers['content-type'] = 'application/json';
  const answer = await fetch(path, {
    method: method || (body ? 'POST' : 'GET'), headers, body: body && JSON.stringify(body),
  });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.error ? json.error.message : 'failed: ' + answer.status);
  return json;
}

async function showNode() {
  const info = await call('/v1/info');
  at('node-name').textContent = document.title = info.name;
  at('node-description').textContent = info.description;
  at('base-url').textContent = (info.http_url || location.origin) + '/v1';
  const { data } = await call('/v1/models');
  const perMillion = value => (value * 1e6).toLocaleString('en', { maximumFractionDigits: 1 });
  for (const model of data) {
    const row = at('models').insertRow();
    const price = model.sats_pricing;
    for (const text of [model.id, model.context_length, perMillion(price.prompt),
                        perMillion(price.completion), price.max_cost]) {
      row.insertCell().textContent = text;
    }
  }
}

function showKey(key) {
  at('bought').hidden = false;
  at('new-key').textContent = key;
  at('key').value = key;
}

let watching = 0;
async function watch(id) {
  const mine = ++watching;
  while (mine === watching) {
    const state = await call('/lightning/invoice/' + id + '/status');
    if (state.status === 'paid') {
      say('invoice-state', 'Paid.');
      return showKey(state.api_key);
    }
    if (state.status === 'expired' || state.status === 'cancelled') {
      return say('invoice-state', 'This invoice has ' + state.status + '.', true);
    }
    say('invoice-state', 'Waiting for the payment …');
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
}

at('buy').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    const made = await call('/lightning/invoice', {
      body: { amount_sats: Number(at('amount').value), purpose: 'create' },
    });
    at('invoice').hidden = false;
    at('bought').hidden = true;
    at('qr').src = '/qr.svg?text=' + encodeURIComponent(made.bolt11.toUpperCase());
    at('open-wallet').href = 'lightning:' + made.bolt11;
    at('copy-invoice').onclick = () => navigator.clipboard.writeText(made.bolt11);
    await watch(made.invoice_id);
  } catch (error) {
    at('invoice').hidden = false;
    say('invoice-state', error.message, true);
  }
});

at('token-form').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    const made = await call('/v1/balance/create', {
      body: { initial_balance_token: at('token').value.trim() },
    });
    say('token-state', 'Credited: ' + sats(made.balance));
    showKey(made.api_key);
  } catch (error) {
    say('token-state', error.message, true);
  }
});

at('key-form').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    const info = await call('/v1/balance/info', { key: at('key').value.trim() });
    say('key-state', 'Balance ' + sats(info.balance) + ', spent ' + sats(info.total_spent) +
        ' in ' + info.total_requests + ' requests.');
  } catch (error) {
    say('key-state', error.message, true);
  }
});

at('refund').addEventListener('click', async () => {
  try {
    const made = await call('/v1/balance/refund', { key: at('key').value.trim(), method: 'POST' });
    at('refund-token').hidden = false;
    at('refund-token').textContent = made.token;
    say('key-state', made.sats + ' sat as a Cashu token: whoever redeems it first has it.');
  } catch (error) {
    say('key-state', error.message, true);
  }
});

showNode().catch(error => say('key-state', error.message, true));
