// A relay (nostrmini), a wallet service at it (@getalby/sdk) with a small ledger, and two addresses by
// which it is reached over proxies of ours that lose, double and hold what passes.
//
//   node service.mjs nip44|nip04
//
// Says {"receive": ADDRESS, "pay": ADDRESS}, then obeys lines of JSON on stdin, each with one line.
import crypto from 'node:crypto';
import readline from 'node:readline';

import * as nwc from '@getalby/sdk/nwc';
import bolt11 from 'bolt11';
import {finalizeEvent, generateSecretKey, getPublicKey} from 'nostr-tools/pure';
import nostrmini from 'nostrmini';
import WebSocket, {WebSocketServer} from 'ws';

globalThis.WebSocket ??= WebSocket;
// What the libraries have to say goes where it is not taken for an answer.
for (const name of ['log', 'info', 'warn']) console[name] = (...words) => console.error(...words);
const say = (json) => process.stdout.write(JSON.stringify(json) + '\n');

const REGTEST = {bech32: 'bcrt', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1]};
const FEE_MSAT = 1013;
const METHODS = ['get_info', 'make_invoice', 'lookup_invoice', 'pay_invoice'];
const PROFILE = 13194, REQUEST = 23194, ANSWER = 23195;
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest();
const now = () => Math.floor(Date.now() / 1000);

// The ledger.

let balance = 1_000_000_000;
const invoices = new Map();  // Made here, by hash.
const payments = new Map();  // Made from here, by hash.
const outside = new Map();   // Of other nodes: what becomes of paying them.
const sent = new Map();      // How often one was really paid.
const told = {};             // How often each method was called.

function writeInvoice(msat, description, expiry, preimage, key) {
    const unsigned = bolt11.encode({
        network: REGTEST,
        satoshis: null,
        millisatoshis: String(msat),
        timestamp: now(),
        tags: [
            {tagName: 'payment_hash', data: hex(sha256(preimage))},
            {tagName: 'description', data: description},
            {tagName: 'expire_time', data: expiry},
            {tagName: 'payment_secret', data: hex(crypto.randomBytes(32))},
            {tagName: 'min_final_cltv_expiry', data: 18},
            {tagName: 'feature_bits', data: {word_length: 4, var_onion_optin: {required: true, supported: true},
                payment_secret: {required: true, supported: true}}},
        ],
    });
    return bolt11.sign(unsigned, key).paymentRequest;
}

function transaction(one, type) {
    return {
        type, invoice: one.invoice, payment_hash: one.hash, amount: one.msat, fees_paid: one.fee ?? 0,
        description: one.description ?? '', description_hash: '', created_at: one.at, expires_at: one.at + 3600,
        state: one.state, settled_at: one.state === 'settled' ? one.at : undefined,
        preimage: one.state === 'settled' ? one.preimage : undefined, metadata: {},
    };
}

const failure = (code) => ({result: undefined, error: {code, message: code}});
const success = (result) => ({result, error: undefined});
const counted = (name, action) => async (params) => {
    told[name] = (told[name] ?? 0) + 1;
    return action(params ?? {});
};

function settle(payment) {
    payment.state = 'settled';
    payment.fee = FEE_MSAT;
    balance -= payment.msat + FEE_MSAT;
    sent.set(payment.hash, (sent.get(payment.hash) ?? 0) + 1);
}

const handlers = (mayPay) => ({
    getInfo: counted('get_info', () => success({
        alias: 'alby-sdk', color: '#000000', pubkey: '02'.repeat(33), network: 'regtest', block_height: 1,
        block_hash: '00'.repeat(32), methods: METHODS})),
    makeInvoice: counted('make_invoice', ({amount, description, expiry}) => {
        const preimage = crypto.randomBytes(32);
        const one = {hash: hex(sha256(preimage)), preimage: hex(preimage), msat: amount, description, at: now(),
            state: 'pending', invoice: writeInvoice(amount, description, expiry, preimage, '11'.repeat(32))};
        invoices.set(one.hash, one);
        return success(transaction(one, 'incoming'));
    }),
    lookupInvoice: counted('lookup_invoice', ({payment_hash}) => {
        if (invoices.has(payment_hash)) return success(transaction(invoices.get(payment_hash), 'incoming'));
        if (payments.has(payment_hash)) return success(transaction(payments.get(payment_hash), 'outgoing'));
        return failure('NOT_FOUND');
    }),
    payInvoice: counted('pay_invoice', ({invoice}) => {
        if (!mayPay) return failure('RESTRICTED');
        const read = bolt11.decode(invoice, REGTEST);
        const hash = read.tagsObject.payment_hash;
        const known = payments.get(hash);
        // As Lightning's nodes do: a hash that is being paid or was is not paid again.
        if (known && known.state !== 'failed') return failure('OTHER');
        const {preimage, outcome} = outside.get(hash);
        const one = {hash, preimage, msat: Number(read.millisatoshis), invoice, at: now(), state: 'pending'};
        payments.set(hash, one);
        if (outcome === 'hang') return new Promise(() => {});
        if (outcome === 'fail') {
            one.state = 'failed';
            return failure('PAYMENT_FAILED');
        }
        settle(one);
        return success({preimage, fees_paid: FEE_MSAT});
    }),
});

// The relay, and what is between it and Nutgate.

const relay = new nostrmini.default();
await new Promise((resolve) => relay.listen(0).once('listening', resolve));
const relayUrl = `ws://127.0.0.1:${relay.address().port}`;

let fault = null;  // {at, what}: of the at-th request from now on
const seen = new Map();  // The requests since then, by id: what happens to each.
const held = [];
const links = new Set();

function fateOf(id) {
    if (!seen.has(id)) seen.set(id, fault && seen.size + 1 === fault.at ? fault.what : 'pass');
    return seen.get(id);
}

function pass(text, to, isRequest) {
    const frame = JSON.parse(text);
    const event = frame[0] === 'EVENT' ? frame.at(-1) : null;
    const isOf = (kind) => event && event.kind === kind;
    const fate = isRequest && isOf(REQUEST) ? fateOf(event.id)
        : !isRequest && isOf(ANSWER) ? seen.get(event.tags.find((tag) => tag[0] === 'e')[1]) ?? 'pass' : 'pass';
    const send = () => to.readyState === WebSocket.OPEN && to.send(text);
    if (isRequest && isOf(REQUEST)) {
        if (fate === 'lose request') return;
        if (fate === 'double request') send();
        if (fate === 'cut') return links.forEach((link) => link.terminate());
        return send();
    }
    if (fate === 'lose answer') return;
    if (fate === 'hold answer') return held.push(send);
    if (fate === 'double answer') send();
    if (fate === 'cut after') return links.forEach((link) => link.terminate());
    send();
}

async function proxy() {
    const server = new WebSocketServer({host: '127.0.0.1', port: 0});
    await new Promise((resolve) => server.once('listening', resolve));
    server.on('connection', (client) => {
        const behind = new WebSocket(relayUrl);
        const early = [];
        links.add(client);
        client.on('message', (data) => (behind.readyState === WebSocket.OPEN
            ? pass(String(data), behind, true) : early.push(String(data))));
        behind.on('open', () => early.forEach((text) => pass(text, behind, true)));
        behind.on('message', (data) => pass(String(data), client, false));
        client.on('close', () => { links.delete(client); behind.close(); });
        behind.on('close', () => client.close());
        for (const end of [client, behind]) end.on('error', () => {});
    });
    return `ws://127.0.0.1:${server.address().port}`;
}

// The service. Each address has a key of its own, as Alby's has.

const encryption = process.argv[2];
const urls = [await proxy(), await proxy()];

async function address(mayPay) {
    const service = generateSecretKey();
    const client = generateSecretKey();
    const wallet = new nwc.NWCWalletService({relayUrl});
    if (encryption === 'nip44') {
        await wallet.publishWalletServiceInfoEvent(hex(service), METHODS, ['payment_received', 'payment_sent']);
    } else {
        // As services did before there was a choice: a profile that says nothing of it.
        await wallet._checkConnected();
        await wallet.relay.publish(finalizeEvent({kind: PROFILE, created_at: now(), tags: [],
            content: METHODS.join(' ')}, service));
    }
    const pair = new nwc.NWCWalletServiceKeyPair(hex(service), getPublicKey(client));
    await wallet.subscribe(pair, handlers(mayPay));
    const where = urls.map((url) => `relay=${encodeURIComponent(url)}`).join('&');
    return {wallet, pair, uri: `nostr+walletconnect://${getPublicKey(service)}?${where}&secret=${hex(client)}`};
}

const receive = await address(false);
const pay = await address(true);

async function notify(hash) {
    const content = await receive.wallet.encrypt(receive.pair, JSON.stringify({
        notification_type: 'payment_received', notification: transaction(invoices.get(hash), 'incoming'),
    }), encryption === 'nip44' ? 'nip44_v2' : 'nip04');
    await receive.wallet.relay.publish(await receive.wallet.signEvent({
        kind: encryption === 'nip44' ? 23197 : 23196, created_at: now(),
        tags: [['p', receive.pair.clientPubkey]], content}, receive.pair.walletSecret));
}

const commands = {
    async pay_in({hash}) {
        const one = invoices.get(hash);
        one.state = 'settled';
        balance += one.msat;
        await notify(hash);
        return {};
    },
    outside({msat, outcome}) {
        const preimage = crypto.randomBytes(32);
        outside.set(hex(sha256(preimage)), {preimage: hex(preimage), outcome});
        return {hash: hex(sha256(preimage)), bolt11: writeInvoice(msat, 'outside', 3600, preimage, '22'.repeat(32))};
    },
    conclude({hash, paid}) {
        if (paid) settle(payments.get(hash));
        else payments.get(hash).state = 'failed';
        return {};
    },
    fault({at, what}) {
        fault = at ? {at, what} : null;
        seen.clear();
        return {};
    },
    release() {
        held.splice(0).forEach((send) => send());
        return {};
    },
    open: () => Object.fromEntries([...invoices.values()].map((one) => [one.invoice, one.hash])),
    ledger: () => ({balance, told, sent: Object.fromEntries(sent)}),
};

say({receive: receive.uri, pay: pay.uri});
for await (const line of readline.createInterface({input: process.stdin})) {
    const command = JSON.parse(line);
    say(await commands[command.do](command));
}
process.exit(0);
