// Do we read and write BOLT11 as others do? Prints counts; exit code 1 if somebody disagrees.
//
//     node agree.mjs CODEC [SEED]
//
// CODEC is our reader and writer as a program (codec.cpp). The oracles are LDK (npm lightningdevkit) and
// npm bolt11. Three things are asked of a corpus that is drawn: both oracles read what we write, and what
// they say is what was ordered; we read what they write (LDK, npm bolt11, and, for fields that neither
// writes, words signed here), field by field as they do; and what was changed on its way is refused by all.
//
// Where an oracle can't follow the specification it is not asked: LDK 0.1.0 reads at most 1023 characters
// (later releases read 7089), npm bolt11 knows no signet and no metadata.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const bolt11 = require('bolt11');
const bech32 = require('bech32');
const secp256k1 = require('secp256k1');
const ldk = await import('lightningdevkit');
await ldk.initializeWasmFromBinary(readFileSync(
  new URL('node_modules/lightningdevkit/liblightningjs.wasm', import.meta.url)));

const ROUNDS = 300;
const CHANGED_PER_INVOICE = 4;
const SHOWN = 1000; // Characters of a disagreement's line.
const SIZE_MAX = 1 << 20; // Of a bech32 text: no limit.

// Drawing.

let state = BigInt(process.argv[3] ?? 20261129) | 1n;
function draw(below) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
  return Number((state >> 33n) % BigInt(below));
}
const pick = (list) => list[draw(list.length)];
const bytes = (count) => Buffer.from(Array.from({ length: count }, () => draw(256)));
const hex = (data) => Buffer.from(data).toString('hex');
function secretKey() {
  for (;;) {
    const key = bytes(32);
    if (secp256k1.privateKeyVerify(key)) return key;
  }
}
const publicKey = (key) => Buffer.from(secp256k1.publicKeyCreate(key, true));

const NETWORKS = ['bc', 'tb', 'tbs', 'bcrt', 'sb'];
// Of msat: what is written with each multiplier, none and all.
const UNITS = [1n, 100n, 100_000n, 100_000_000n, 100_000_000_000n];
const TEXTS = ['', 'AI credits', 'Grüße aus Köln', '一二三 🥜 nuts', 'a"b\\c\n\td', 'x'.repeat(639), '🥜'.repeat(150)];
const anAmount = () => (draw(8) === 0 ? null : String(UNITS[draw(4)] * BigInt(1 + draw(9_999))
  + (draw(30) === 0 ? UNITS[4] : 0n)));
const aTime = () => 1_500_000_000 + draw(400_000_000);
const anExpiry = () => pick([60, 3600, 86_400, 1 + draw(1_000_000), 31_536_000]);

// Our own program.

const codec = spawn(process.argv[2], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface({ input: codec.stdout })[Symbol.asyncIterator]();
async function ours(line) {
  codec.stdin.write(line + '\n');
  return JSON.parse((await answers.next()).value);
}
const read = (text) => ours('read ' + text);

// The oracles, in our words.

const LDK_SIZE_MAX = 1023;
const forLdk = (text) => text.length <= LDK_SIZE_MAX;
const forNpm = (text) => !text.startsWith('lntbs');
const LDK_NETWORKS = { 0: 'bc', 1: 'tb', 2: 'bcrt', 3: 'sb', 4: 'tbs' };

/** Its hash of a description can be compared, and not be read: with `hash`. */
function byLdk(text, hash = null) {
  const parsed = ldk.Bolt11Invoice.constructor_from_str(text);
  if (!parsed.is_ok()) return { error: 'refused' };
  const invoice = parsed.res;
  const raw = invoice.into_signed_raw().raw_invoice();
  const amount = invoice.amount_milli_satoshis();
  const metadata = invoice.payment_metadata();
  const [description, described] = [raw.description(), raw.description_hash()];
  const isThat = () => hash !== null && described.eq(ldk.Sha256.constructor_from_bytes(Buffer.from(hash, 'hex')));
  return {
    network: LDK_NETWORKS[invoice.currency()],
    amount_msat: amount instanceof ldk.Option_u64Z_Some ? String(amount.some) : null,
    created_at: Number(invoice.duration_since_epoch()),
    expiry: Number(invoice.expiry_time()),
    payment_hash: hex(invoice.payment_hash()),
    payment_secret: hex(invoice.payment_secret()),
    description: description.ptr === 0n ? null : description.as_inner().get_a(),
    description_hash: described.ptr === 0n ? null : isThat() ? hash : 'another one',
    min_final_cltv: Number(invoice.min_final_cltv_expiry_delta()),
    metadata: metadata instanceof ldk.Option_CVec_u8ZZ_Some ? hex(metadata.some) : null,
    features: featuresOf(Buffer.from(invoice.features().le_flags()).reverse()),
    // Its bindings show what has no sign as if it had one.
    routes: invoice.route_hints().map((hint) => hint.get_a().map((hop) => [
      hex(hop.get_src_node_id()), String(BigInt.asUintN(64, hop.get_short_channel_id())),
      hop.get_fees().get_base_msat() >>> 0, hop.get_fees().get_proportional_millionths() >>> 0,
      hop.get_cltv_expiry_delta() & 0xffff])),
    payee: hex(invoice.get_payee_pub_key()),
  };
}

const featuresOf = (bigEndian) => hex(bigEndian).replace(/^(00)+/, '');

function byNpm(text) {
  let said;
  try {
    said = bolt11.decode(text);
  } catch {
    return { error: 'refused' };
  }
  const tag = (name) => said.tags.find((one) => one.tagName === name)?.data;
  return {
    network: said.network.bech32,
    amount_msat: said.millisatoshis,
    created_at: said.timestamp,
    expiry: tag('expire_time') ?? 3600,
    payment_hash: tag('payment_hash'),
    payment_secret: tag('payment_secret'),
    description: tag('description') ?? null,
    description_hash: tag('purpose_commit_hash') ?? null,
    min_final_cltv: tag('min_final_cltv_expiry') ?? 18,
    routes: said.tags.filter((one) => one.tagName === 'routing_info').map((one) => one.data.map((hop) => [
      hop.pubkey, String(BigInt('0x' + hop.short_channel_id)), hop.fee_base_msat,
      hop.fee_proportional_millionths, hop.cltv_expiry_delta])),
    payee: said.payeeNodeKey,
  };
}

// Comparing.

const counts = {};
const count = (what) => { counts[what] = (counts[what] ?? 0) + 1; };
let disagreements = 0;
function disagree(what, text, ...sides) {
  disagreements += 1;
  if (disagreements > 10) return;
  console.log(`DISAGREE ${what}: ${text}`.slice(0, SHOWN));
  for (const side of sides) console.log(`    ${JSON.stringify(side)}`.slice(0, SHOWN));
}
/** Of the fields that both have. */
function same(a, b) {
  if (a.error || b.error) return false;
  return Object.keys(b).every((field) => JSON.stringify(a[field]) === JSON.stringify(b[field]));
}
function expectSame(what, text, a, b) {
  if (same(a, b)) count(what);
  else disagree(what, text, a, b);
}

// What we write.

async function weWrite() {
  const texts = [];
  for (let round = 0; round < ROUNDS; ++round) {
    const key = secretKey();
    const order = {
      network: NETWORKS[round % NETWORKS.length], created_at: aTime(), expiry: anExpiry(),
      payment_hash: hex(bytes(32)), payment_secret: hex(bytes(32)), description: pick(TEXTS),
      min_final_cltv: pick([9, 18, 80, 144, 2016]), key: hex(key),
    };
    const amount = anAmount();
    if (amount !== null) order.amount_msat = amount;
    const { bolt11: text } = await ours('write ' + JSON.stringify(order));
    const { key: _, ...ordered } = { ...order, amount_msat: amount, payee: hex(publicKey(key)) };
    const mine = await read(text);
    expectSame('ours, read by us as ordered', text, mine, ordered);
    if (forLdk(text)) {
      expectSame('ours, read by LDK as ordered', text, byLdk(text), ordered);
      expectSame('ours, read by LDK as by us', text, mine, byLdk(text));
    }
    if (forNpm(text)) {
      expectSame('ours, read by npm bolt11 as ordered', text, byNpm(text), ordered);
      expectSame('ours, read by npm bolt11 as by us', text, mine, byNpm(text));
    }
    texts.push(text);
  }
  return texts;
}

// What others write.

const aHop = () => [hex(publicKey(secretKey())), hex(bytes(8)), draw(2 ** 31), draw(1_000_000), draw(65_536)];
const npmHop = ([pubkey, scid, base, ppm, cltv]) => ({
  pubkey, short_channel_id: scid, fee_base_msat: base, fee_proportional_millionths: ppm, cltv_expiry_delta: cltv });

function npmWrites(withPayee) {
  const key = secretKey();
  const tags = [
    { tagName: 'payment_hash', data: hex(bytes(32)) },
    { tagName: 'payment_secret', data: hex(bytes(32)) },
    { tagName: 'feature_bits', data: {
      word_length: 4, var_onion_optin: { required: draw(2) === 0, supported: true },
      payment_secret: { required: true, supported: true }, basic_mpp: { required: false, supported: draw(2) === 0 } } },
    draw(2) ? { tagName: 'description', data: pick(TEXTS) } : { tagName: 'purpose_commit_hash', data: hex(bytes(32)) },
  ];
  if (draw(4)) tags.push({ tagName: 'expire_time', data: anExpiry() });
  if (draw(4)) tags.push({ tagName: 'min_final_cltv_expiry', data: 1 + draw(2016) });
  if (draw(2)) tags.push({ tagName: 'routing_info', data: Array.from({ length: 1 + draw(3) }, aHop).map(npmHop) });
  if (draw(4) === 0) {
    tags.push({ tagName: 'fallback_address', data: { code: 0, addressHash: hex(bytes(pick([20, 32]))), address: 'x' } });
  }
  if (withPayee) tags.push({ tagName: 'payee_node_key', data: hex(publicKey(key)) });
  const network = pick(['bc', 'tb', 'bcrt', 'sb']);
  const order = { timestamp: aTime(), tags, network: {
    bech32: network, pubKeyHash: 0, scriptHash: 5, validWitnessVersions: [0, 1] } };
  const amount = anAmount();
  if (amount !== null) order.millisatoshis = amount;
  return bolt11.sign(bolt11.encode(order, false), key).paymentRequest;
}

let ldkKeys;
function ldkWrites() {
  ldkKeys ??= ldk.PhantomKeysManager.constructor_new(bytes(32), 42n, 42, bytes(32));
  const some = (Option, value) => (value === null ? Option.constructor_none() : Option.constructor_some(value));
  const amount = anAmount();
  const logger = ldk.Logger.new_impl({ log() {} });
  const hints = Array.from({ length: 1 + draw(3) }, () => ldk.PhantomRouteHints.constructor_new(
    [], BigInt(draw(2 ** 31)), publicKey(secretKey())));
  const cltv = some(ldk.Option_u16Z, draw(2) ? null : 24 + draw(1000));
  const rest = [hints, ldkKeys.as_EntropySource(), ldkKeys.as_NodeSigner(), logger,
    Number(pick(Object.keys(LDK_NETWORKS))), cltv, BigInt(aTime())];
  const msat = some(ldk.Option_u64Z, amount === null ? null : BigInt(amount));
  const hash = some(ldk.Option_ThirtyTwoBytesZ, draw(2) ? null : bytes(32));
  const made = draw(2)
    ? ldk.UtilMethods.constructor_create_phantom_invoice(msat, hash, pick(TEXTS), anExpiry(), ...rest)
    : ldk.UtilMethods.constructor_create_phantom_invoice_with_description_hash(
      msat, hash, anExpiry(), ldk.Sha256.constructor_from_bytes(bytes(32)), ...rest);
  if (!made.is_ok()) throw new Error('LDK writes none: ' + JSON.stringify(made));
  return made.res.to_str();
}

// Fields that neither writes: metadata, several routes, features of more than four groups.
const groupsOf = (data) => bech32.toWords(data);
function numberGroups(number) {
  const groups = [];
  for (let left = BigInt(number); left > 0n; left /= 32n) groups.unshift(Number(left % 32n));
  return groups;
}
function signed(prefix, groups, key) {
  const padded = [...groups];
  while ((padded.length * 5) % 8 !== 0) padded.push(0); // To whole bytes, with zeros.
  const data = Buffer.from(bech32.fromWords(padded)).subarray(0, Math.ceil((groups.length * 5) / 8));
  const digest = createHash('sha256').update(prefix).update(data).digest();
  const { signature, recid } = secp256k1.ecdsaSign(digest, key);
  return bech32.encode(prefix, [...groups, ...groupsOf(Buffer.concat([signature, Buffer.from([recid])]))], SIZE_MAX);
}
function wordsWrite() {
  const key = secretKey();
  const field = (tag, groups) => [tag, Math.floor(groups.length / 32), groups.length % 32, ...groups];
  const hop = ([node, scid, base, ppm, cltv]) => {
    const numbers = Buffer.alloc(10);
    numbers.writeUInt32BE(base, 0);
    numbers.writeUInt32BE(ppm, 4);
    numbers.writeUInt16BE(cltv, 8);
    return Buffer.concat([Buffer.from(node, 'hex'), Buffer.from(scid, 'hex'), numbers]);
  };
  let features = (1n << 8n) | (1n << 14n) | (1n << 49n);
  if (draw(2)) features |= 1n << 17n;
  if (draw(2)) features |= 1n << BigInt(101 + 2 * draw(20)); // Odd and unknown: a payer may do without.
  const fields = [
    field(1, groupsOf(bytes(32))), field(16, groupsOf(bytes(32))), field(13, groupsOf(Buffer.from(pick(TEXTS)))),
    field(5, numberGroups(features)), field(27, groupsOf(bytes(1 + draw(200)))),
    ...Array.from({ length: draw(4) }, () => field(3, groupsOf(Buffer.concat(
      Array.from({ length: 1 + draw(3) }, () => hop(aHop())))))),
  ];
  if (draw(2)) fields.push(field(6, numberGroups(anExpiry())));
  if (draw(2)) fields.push(field(24, numberGroups(1 + draw(2016))));
  if (draw(2)) fields.push(field(19, groupsOf(publicKey(key))));
  const time = numberGroups(aTime());
  while (time.length < 7) time.unshift(0);
  const order = fields.map((one) => [draw(2 ** 30), one]).sort(([a], [b]) => a - b).flatMap(([, one]) => one);
  return signed('ln' + pick(NETWORKS) + pick(['', '1', '20m', '2500u', '9678785340p', '77n']), [...time, ...order], key);
}

async function othersWrite() {
  const writers = { 'npm bolt11': () => npmWrites(draw(2) === 0), LDK: ldkWrites, words: wordsWrite };
  const texts = [];
  for (const [name, write] of Object.entries(writers)) {
    for (let round = 0; round < ROUNDS; ++round) {
      const text = write();
      const mine = await read(text);
      if (forLdk(text)) expectSame(`${name}'s, read by us as by LDK`, text, mine, byLdk(text, mine.description_hash));
      if (forNpm(text)) expectSame(`${name}'s, read by us as by npm bolt11`, text, mine, byNpm(text));
      const upper = await read(text.toUpperCase());
      if (JSON.stringify(upper) === JSON.stringify(mine)) count('in capitals the same to us');
      else disagree('capitals', text, mine, upper);
      texts.push(text);
    }
  }
  return texts;
}

// What was changed on its way.

const LETTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const refusals = (text) => Promise.all([read(text), byLdk(text), byNpm(text)]);

async function expectRefused(what, text) {
  const [mine, ldks, npms] = await refusals(text);
  if (mine.error && ldks.error && npms.error) count(what);
  else disagree(what, text, mine, ldks, npms);
}

async function changed(texts) {
  for (const text of texts) {
    for (let round = 0; round < CHANGED_PER_INVOICE; ++round) {
      const at = text.lastIndexOf('1') + 1 + draw(text.length - text.lastIndexOf('1') - 1);
      const letter = pick(LETTERS.replace(text[at], ''));
      await expectRefused('one letter changed: refused by all', text.slice(0, at) + letter + text.slice(at + 1));
    }
    await expectRefused('a letter lost: refused by all', text.slice(0, -1 - draw(20)));
    // Its checksum made anew: only the signature can tell.
    const { prefix, words } = bech32.decode(text, SIZE_MAX);
    const wrong = [...words];
    const at = words.length - 104 + draw(103);
    wrong[at] = (wrong[at] + 1 + draw(31)) % 32;
    const forged = bech32.encode(prefix, wrong, SIZE_MAX);
    const before = await read(text);
    const all = await refusals(forged);
    const [mine] = all;
    // Who names no payee is whoever the signature says: another one, at best nobody.
    const fooled = all.some((said) => !said.error && said.payee === before.payee);
    if (fooled) disagree('signature forged', forged, ...all);
    else count(mine.error ? 'signature forged: refused by us, and nobody takes it for his'
      : 'signature forged: another payee to us, and nobody takes it for his');
    const dearer = prefix.replace(/^(ln[a-z]+)(\d*)/, (_, name, digits) => name + (digits ? `${digits}1` : '1'));
    const [told] = await refusals(bech32.encode(/\d[munp]?$/.test(prefix) ? dearer : `${dearer}m`, words, SIZE_MAX));
    if (told.error || told.payee !== before.payee) count('amount forged: not that payee, or refused');
    else disagree('amount forged', text, told);
  }
}

async function forgedWithPayee() {
  for (let round = 0; round < ROUNDS; ++round) {
    const { prefix, words } = bech32.decode(npmWrites(true), SIZE_MAX);
    const wrong = [...words];
    const at = words.length - 104 + draw(102);
    wrong[at] = (wrong[at] + 1 + draw(31)) % 32;
    await expectRefused('signature forged under a payee that is named: refused by all', bech32.encode(prefix, wrong, SIZE_MAX));
  }
}

const written = [...await weWrite(), ...await othersWrite()];
await changed(written);
await forgedWithPayee();
codec.stdin.end();
const width = Math.max(...Object.keys(counts).map((what) => what.length));
for (const [what, number] of Object.entries(counts)) console.log(`${what.padEnd(width)}  ${number}`);
const total = Object.values(counts).reduce((a, b) => a + b, 0);
console.log(`\n${total} passed, ${disagreements} failed`);
process.exit(disagreements === 0 && total > 0 ? 0 : 1);
