'use strict';
const at = id => document.getElementById(id);
const say = (id, text, bad = false) => {
  at(id).textContent = text;
  at(id).classList.toggle('bad', bad);
};
const number = (value, digits = 3) => value.toLocaleString('en', { maximumFractionDigits: digits });
const sats = msat => number(msat / 1000) + ' sat';

async function call(path, { key, body, method } = {}) {
  const headers = {};
  if (key) headers.authorization = 'Bearer ' + key;
  if (body) headers['content-type'] = 'application/json';
  let answer, json;
  try {
    answer = await fetch(path, {
      method: method || (body ? 'POST' : 'GET'), headers, body: body && JSON.stringify(body),
    });
    json = await answer.json();
  } catch {
    throw new Error('The node does not answer. Is it, or are you, offline?');
  }
  if (answer.ok) return json;
  const error = new Error(json.error ? json.error.message : 'failed: ' + answer.status);
  error.isFinal = answer.status < 500 && answer.status !== 429;
  throw error;
}

// One press, one request: the button waits for its answer, and what goes wrong is said beside it.
async function whileBusy(button, state, action) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    say(state, error.message, true);
  } finally {
    button.disabled = false;
  }
}

// Browsers offer a clipboard to secure pages only; elsewhere the text is marked, to be copied by hand.
async function copy(button, element, text) {
  try {
    await navigator.clipboard.writeText(text);
    tell(button, 'Copied');
  } catch {
    getSelection().selectAllChildren(element);
    tell(button, 'Marked: copy it by hand');
  }
}
function tell(button, news) {
  button.dataset.words ??= button.textContent;
  button.textContent = news;
  setTimeout(() => { button.textContent = button.dataset.words; }, 2000);
}

async function showNode() {
  at('base-url').textContent = location.origin + '/v1';
  const info = await call('/v1/info');
  at('node-name').textContent = document.title = info.name;
  at('node-description').textContent = info.description;
  at('base-url').textContent = (info.http_url || location.origin) + '/v1';
  at('get-offer').hidden = !info.payment_methods.some(method => method.offers);
  const { data } = await call('/v1/models');
  for (const model of data) {
    const row = at('models').insertRow();
    const price = model.sats_pricing;
    for (const text of [model.id, number(model.context_length), number(price.prompt * 1e6, 1),
                        number(price.completion * 1e6, 1), number(price.max_cost)]) {
      row.insertCell().textContent = text;
    }
  }
  at('price-list').hidden = data.length === 0;
  say('models-state', data.length === 0 ? 'Nothing is sold at the moment.' :
      'Input and output: sat per million tokens. At most: what one request can cost, in sat.');
}

function showKey(key) {
  at('bought').hidden = false;
  at('new-key').textContent = key;
  at('key').value = key;
  at('bought').scrollIntoView({ block: 'nearest' });
}

const endings = {
  paid: 'Paid.',
  expired: 'This invoice has expired: do not pay it. Get another one.',
  cancelled: 'This invoice was cancelled: do not pay it. Get another one.',
};

// Until the invoice has come to its end, however often the node can't be asked.
let watching = 0;
async function watch(id) {
  const mine = ++watching;
  for (let pause = 1000; mine === watching; await new Promise(wake => setTimeout(wake, pause))) {
    try {
      const state = await call('/lightning/invoice/' + id + '/status');
      if (mine !== watching) return;
      if (state.status in endings) {
        at('invoice').hidden = true;
        say('invoice-state', endings[state.status], state.status !== 'paid');
        if (state.status === 'paid') showKey(state.api_key);
        return;
      }
      pause = 1000;
      say('invoice-state', 'Waiting for ' + number(state.amount_sats) + ' sat …');
    } catch (error) {
      if (mine !== watching) return;
      say('invoice-state', error.message, true);
      if (error.isFinal) return;
      pause = 5000;
    }
  }
}

function showText(text) {
  at('invoice').hidden = false;
  at('qr').src = '/qr.svg?text=' + encodeURIComponent(text.toUpperCase());
  at('qr-link').href = at('open-wallet').href = 'lightning:' + text;
  at('copy-invoice').onclick = () => copy(at('copy-invoice'), at('invoice-text'), text);
  at('invoice-text').textContent = text;
}

function showInvoice({ invoice_id, bolt11 }) {
  showText(bolt11);
  watch(invoice_id);
}

// An offer has no end: it is watched for as long as the page shows it.
async function watchOffer(id) {
  const mine = ++watching;
  for (let pause = 2000; mine === watching; await new Promise(wake => setTimeout(wake, pause))) {
    try {
      const state = await call('/lightning/offer/' + id);
      if (mine !== watching) return;
      pause = 2000;
      say('invoice-state', state.payments === 0 ?
          'Pay it as often as you like: the first payment makes a key, each other tops it up.' :
          'Paid ' + number(state.payments) + (state.payments === 1 ? ' time, ' : ' times, ') +
          sats(state.amount_received_msats) + ' in all. Keep the code: it goes on topping up this key.');
      if (state.api_key && at('new-key').textContent !== state.api_key) showKey(state.api_key);
    } catch (error) {
      if (mine !== watching) return;
      say('invoice-state', error.message, true);
      if (error.isFinal) return;
      pause = 5000;
    }
  }
}

function showOffer({ offer_id, offer }) {
  showText(offer);
  watchOffer(offer_id);
}

at('buy').addEventListener('submit', event => {
  event.preventDefault();
  whileBusy(event.submitter || at('buy').querySelector('button'), 'invoice-state', async () => {
    ++watching;
    at('invoice').hidden = at('bought').hidden = true;
    say('invoice-state', '');
    const made = await call('/lightning/invoice', {
      body: { amount_sats: Number(at('amount').value), purpose: 'create' },
    });
    // For as long as this tab lives: who reloads it has paid nevertheless.
    sessionStorage.setItem('invoice', JSON.stringify(made));
    showInvoice(made);
  });
});

at('get-offer').addEventListener('click', () => whileBusy(at('get-offer'), 'invoice-state', async () => {
  ++watching;
  at('invoice').hidden = at('bought').hidden = true;
  at('new-key').textContent = '';
  say('invoice-state', '');
  const made = await call('/lightning/offer', { body: { purpose: 'create' } });
  sessionStorage.setItem('invoice', JSON.stringify(made));
  showOffer(made);
}));

at('token-form').addEventListener('submit', event => {
  event.preventDefault();
  whileBusy(event.submitter || at('token-form').querySelector('button'), 'token-state', async () => {
    say('token-state', 'Asking the mint …');
    const made = await call('/v1/balance/create', {
      body: { initial_balance_token: at('token').value.trim() },
    });
    at('token').value = '';
    say('token-state', 'Credited. The balance is ' + sats(made.balance) + '.');
    showKey(made.api_key);
  });
});

at('key-form').addEventListener('submit', event => {
  event.preventDefault();
  whileBusy(event.submitter || at('key-form').querySelector('button'), 'key-state', async () => {
    at('refunded').hidden = true;
    const info = await call('/v1/balance/info', { key: at('key').value.trim() });
    say('key-state', 'Balance ' + sats(info.balance) +
        (info.reserved ? ', of it ' + sats(info.reserved) + ' held for requests under way' : '') +
        ', spent ' + sats(info.total_spent) + ' in ' + number(info.total_requests) +
        (info.total_requests === 1 ? ' request.' : ' requests.'));
  });
});

at('refund').addEventListener('click', () => {
  if (!at('key-form').reportValidity()) return;
  whileBusy(at('refund'), 'key-state', async () => {
    at('refunded').hidden = true;
    say('key-state', 'Refunding …');
    const made = await call('/v1/balance/refund', { key: at('key').value.trim(), method: 'POST' });
    at('refunded').hidden = false;
    at('refund-token').textContent = made.token;
    say('key-state', number(Number(made.sats)) +
        ' sat as a Cashu token: whoever redeems it first has it.');
  });
});

at('copy-key').addEventListener('click',
  () => copy(at('copy-key'), at('new-key'), at('new-key').textContent));
at('copy-token').addEventListener('click',
  () => copy(at('copy-token'), at('refund-token'), at('refund-token').textContent));

showNode().catch(error => say('models-state', error.message, true));
const kept = sessionStorage.getItem('invoice');
if (kept) {
  const made = JSON.parse(kept);
  if (made.offer_id) showOffer(made); else showInvoice(made);
}
