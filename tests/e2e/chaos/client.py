"""Buyers: they pay, chat, stream, hang up, top up, refund, redeem, and ask everything again.

Each draws what it does from its own seeded generator and keeps its accounts (see books.py) by what
it saw. An action that a kill interrupts is asked again until it is answered, as a careful client
would.
"""
import collections
import json
import random
import threading
import time

import harness
from chaos.books import STARVED_SECONDS, Account, Books, Child, Request, Token, Violation
from chaos.line import Cut, Line, Moments, NotSent
from chaos.upstream import PROMPT_TOKENS

INPUT_MSAT, OUTPUT_MSAT = 1, 20  # For one token; see campaign.CONFIG.
HISTORY_MAX = 1000  # Lines that a node tells of a key's history at most.
RESOLVED_SECONDS = 30.0  # What a restart leaves unfinished is finished by then.


def cost_of(tokens: int) -> int:
    return PROMPT_TOKENS * INPUT_MSAT + tokens * OUTPUT_MSAT


class World:
    """What all clients share."""

    def __init__(self, seed: int, books: Books, moments: Moments, with_kills: bool):
        self.seed, self.books, self.moments, self.with_kills = seed, books, moments, with_kills
        self.url = ""
        self.requests = 0  # Exchanges; counted without a lock, for the summary only.
        self.over = threading.Event()
        self.up = threading.Event()
        self.open_gate = threading.Event()  # Closed: clients end what they do, and wait.
        self.open_gate.set()
        self.parked = threading.Semaphore(0)
        self.failure: BaseException | None = None
        self.failed = threading.Event()

    def fail(self, failure: BaseException) -> None:
        with self.books.lock:
            self.failure = self.failure or failure
        self.failed.set()
        self.over.set()
        self.open_gate.set()

    def line(self) -> Line:
        return Line(self.url, self.moments, lambda: self.books.generation)


class Client(threading.Thread):
    """A thread that acts until the world is over, and waits at the gate between two actions."""

    def __init__(self, world: World, name: str):
        super().__init__(name=name, daemon=True)
        self.world, self.books = world, world.books
        self.rng = random.Random(f"{world.seed} {name}")
        self.line = world.line()
        self.cuts = 0

    def act(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        try:
            while not self.world.over.is_set():
                if not self.world.open_gate.is_set():
                    self.world.parked.release()
                    self.world.open_gate.wait()
                    continue
                self.act()
        except BaseException as failure:  # Told by the campaign's own thread.
            self.world.fail(failure)

    # Questions that are asked until they are answered.

    def until_answered(self, path: str, again, **more):
        """The answer; `again(answer)` says why it is not one yet, or nothing."""
        deadline = time.monotonic() + RESOLVED_SECONDS
        while True:
            try:
                self.world.requests += 1
                answer = self.line.ask(path, **more)
                why = again(answer)
                if not why:
                    return answer
            except Cut:
                self.cuts += 1
                why = "the connection was cut"
            except NotSent:
                why = "nobody listens"
                self.world.up.wait(0.05)
            if self.world.failed.is_set():
                raise SystemExit
            if time.monotonic() > deadline:
                raise Violation(f"{path}: still after {RESOLVED_SECONDS:.0f} s: {why}")
            self.world.failed.wait(0.01)

    @staticmethod
    def busy(answer) -> str:
        """503 with Retry-After is the one answer that asks for patience."""
        if answer.status != 503:
            return ""
        if "retry-after" not in answer.headers:
            raise Violation(f"503 without Retry-After: {answer}")
        return repr(answer)

    @classmethod
    def busy_or_under_way(cls, answer) -> str:
        under_way = answer.status == 400 and answer.json()["error"]["code"] == "requests_in_flight"
        return repr(answer) if under_way else cls.busy(answer)

    def balance(self, account: Account) -> int:
        """With nothing under way."""
        def reserved(answer) -> str:
            if busy := self.busy(answer):
                return busy
            if answer.status != 200:
                raise Violation(f"{account.name}: balance: {answer}", account)
            return "" if answer.json()["reserved"] == 0 else repr(answer)
        return self.until_answered("/v1/balance/info", reserved, key=account.key).json()["balance"]

    def history(self, account: Account) -> list[dict]:
        answer = self.until_answered(f"/v1/balance/history?limit={HISTORY_MAX}", self.busy,
                                     key=account.key)
        self.must(answer.status == 200, account, f"history: {answer}")
        return answer.json()["transactions"]

    def credits(self, account: Account) -> collections.Counter:
        """What was ever credited, by amount. Of a key with so much history that it is not told whole
        (in a long soak), what we know."""
        history = self.history(account)
        if len(history) == HISTORY_MAX:
            return account.credits.copy()
        return collections.Counter(line["amount"] for line in history if line["type"] == "in")

    @staticmethod
    def must(holds: bool, account: Account, what: str) -> None:
        if not holds:
            raise Violation(f"{account.name}: {what}", account)

    def observe(self, account: Account) -> None:
        account.observed(self.balance(account))

    def glance(self, account: Account) -> None:
        """A balance with others' requests under way, or while the node is killed."""
        bound = account.bound()
        try:
            answer = self.line.ask("/v1/balance/info", key=account.key)
        except (Cut, NotSent):
            return
        if answer.status == 200:
            account.shown(answer.json()["balance"], bound, "balance/info")

    # Chats.

    def chat(self, account: Account, key: str | None = None, *, asked: str = "", kind="chat",
             child: Child | None = None) -> int:
        """The status, or 0 if the connection was cut."""
        tokens = self.rng.randint(1, 30)
        key = child.key if child else key
        request = account.begin(cost_of(tokens), f"{kind} {asked}")
        body = self.body(tokens, asked)
        bound, is_alone = account.bound(), self.is_alone(account, child)
        try:
            self.world.requests += 1
            answer = self.line.ask("/v1/chat/completions", "POST", body, key or account.key, kind)
        except Cut:
            account.cut(request, "by a kill")
            return 0
        except NotSent:
            return self.nobody(account)
        when = time.monotonic()
        if answer.status != 200:
            account.refused(repr(answer))
            return self.judge_refusal(account, answer, asked, is_alone)
        usage = answer.json()["usage"]
        self.judge_cost(account, request, usage["cost"]["total_msats"])
        if int(answer.headers["x-routstr-cost-msats"]) != request.cost:
            raise Violation(f"{account.name}: another cost in the header: {answer}", account)
        account.completed(request, request.cost, when)
        if child:
            child.completed(request, when)
        if not account.shared:
            left = usage["remaining_balance_msats"]
            account.shown(left, bound, "remaining_balance_msats")
            # Of a key that was topped up it may be told without the latest money, but of no other.
            is_sure = is_alone and sum(account.credits.values()) == 1
            self.must(not is_sure or left >= account.low, account, f"{left} is too little to be left")
        return 200

    def chat_once(self, account: Account, token: Token) -> None:
        """A chat that the token pays for, and nothing else; `account` is the key that it is. Its
        change is booked if it comes."""
        tokens = self.rng.randint(1, 30)
        request = account.begin(cost_of(tokens), "once")
        try:
            self.world.requests += 1
            answer = self.line.ask("/v1/chat/completions", "POST", self.body(tokens, ""), None,
                                   "once", {"x-cashu": token.text})
        except Cut:
            account.cut(request, "by a kill")
            return
        except NotSent:
            self.nobody(account)
            return
        if answer.status != 200:
            account.refused(repr(answer))
            self.must(answer.status in (402, 503), account, f"once: {answer}")
            return
        when = time.monotonic()
        self.judge_cost(account, request, answer.json()["usage"]["cost"]["total_msats"])
        account.credit_done(token.msat, "token for one request")
        account.completed(request, request.cost, when)
        if change := answer.headers["x-cashu"]:
            account.refund_done(change, (token.msat - request.cost) // 1000 * 1000)

    def change_of(self, account: Account, token: Token) -> Token | None:
        """What a token that paid for one request is still worth, as it is found with it."""
        def pending(answer) -> str:
            return repr(answer) if answer.status == 425 else self.busy(answer)
        is_known = bool(account.credits)
        found = self.until_answered("/v1/balance/refund", pending, method="POST", kind="refund",
                                    headers={"x-cashu": token.text})
        if found.status == 404 and found.json()["error"]["code"] == "refund_not_found":
            self.must(not is_known, account, f"its change is forgotten: {found}")
            self.redeem(account, token)
            account.credit_done(token.msat, "token that paid for nothing")
            return self.refund(account)
        if not is_known:
            account.credit_done(token.msat, "token for one request")
        self.redeem(account, token)
        if found.status == 404:
            self.must(account.low < 1000, account, f"change: {found}")
            return account.last_token
        self.must(found.status == 200, account, f"change: {found}")
        account.refund_done(found.json()["token"], int(found.json()["sats"]) * 1000)
        return account.last_token

    def nobody(self, account: Account) -> int:
        account.refused("nobody listens")
        # Some knock again and again while it starts, others wait until it is there.
        self.world.up.wait(0.05)
        return 0

    @staticmethod
    def body(tokens: int, asked: str, **more) -> dict:
        return {"model": "small", "max_tokens": tokens, **more,
                "messages": [{"role": "user", "content": f"tokens={tokens} {asked}"}]}

    @staticmethod
    def judge_cost(account: Account, request: Request, cost: int) -> None:
        if cost != request.cost:
            raise Violation(f"{account.name}: cost {cost} in place of {request.cost}", account)

    @staticmethod
    def is_alone(account: Account, child: Child | None = None) -> bool:
        """Before a request: whether nothing else can hold money, or a budget, that it needs."""
        holds_back = account.has_late_charges(STARVED_SECONDS)
        return not account.shared and child is None and not holds_back

    def judge_refusal(self, account: Account, answer, asked: str, is_alone: bool) -> int:
        if answer.status == 503:
            self.busy(answer)
        elif answer.status == 402:
            if is_alone:
                needed = answer.json()["detail"]["amount_required_msat"]
                self.must(account.low < needed, account, f"{needed} is called too much: {answer}")
        elif not (answer.status == 502 and "fail=" in asked):
            raise Violation(f"{account.name}: {answer}", account)
        return answer.status

    def stream(self, account: Account, asked: str = "", leave_after: int | None = None) -> int:
        tokens = self.rng.randint(2, 40)
        request = account.begin(cost_of(tokens), f"stream {asked} leave {leave_after}")
        seen, receipt, done = 0, b"", False
        is_alone = self.is_alone(account)
        try:
            self.world.requests += 1
            stream = self.line.stream("/v1/chat/completions", self.body(tokens, asked, stream=True),
                                      account.key, "stream")
            if stream.status != 200:
                answer = harness.Answer(stream.status, stream.headers, stream.rest())
                account.refused(repr(answer))
                return self.judge_refusal(account, answer, asked, is_alone)
            while (event := stream.event()) is not None:
                if event == b"[DONE]":
                    done, when = True, time.monotonic()
                    continue
                seen += 1
                if b'"cost"' in event:
                    receipt = event
                if seen == leave_after:
                    self.line.leave()
                    self.world.moments.hit("left")
                    self.left(account, request, f"left after {seen} events", seen * OUTPUT_MSAT)
                    return 0
        except Cut:
            if not done:
                account.cut(request, f"stream, by a kill, after {seen} events")
                return 0
        except NotSent:
            return self.nobody(account)
        if not receipt:
            raise Violation(f"{account.name}: a stream that ended without its cost", account)
        cost = json.loads(receipt)["usage"]["cost"]["total_msats"]
        if done:
            self.judge_cost(account, request, cost)
        elif "die=" not in asked or not 0 < cost <= request.cost:
            raise Violation(f"{account.name}: a stream broken off, {receipt!r}", account)
        account.completed(request, cost, when if done else time.monotonic())
        self.world.moments.hit("stream done")
        return 200

    def leave_answer(self, account: Account) -> int:
        tokens = self.rng.randint(1, 30)
        wait = self.rng.randint(2, 25)
        request = account.begin(cost_of(tokens), "chat to be left")
        try:
            self.world.requests += 1
            self.line.send("/v1/chat/completions", "POST", self.body(tokens, f"head={wait}"),
                           account.key, "chat")
        except Cut:
            account.cut(request, "by a kill")
            return 0
        except NotSent:
            return self.nobody(account)
        deadline = time.monotonic() + self.rng.random() * wait / 1000
        while time.monotonic() < deadline:
            pass
        self.line.leave()
        self.world.moments.hit("left")
        # Nothing is owed for sure: no upstream is called for a client that left before.
        self.left(account, request, "left before the answer", 0)
        return 0

    def left(self, account: Account, request: Request, how: str, least: int) -> None:
        account.left(request, how)
        if not self.world.with_kills:
            account.owes(request, least)

    # Money in and out.

    def request_money(self, what: str, sats: int, account: Account | None) -> str | None:
        """An invoice or an offer, for a new key or to top one up, which the simulated network pays;
        its id, or nothing if it was cut off or refused for a while."""
        purpose = "topup" if account else "create"
        body = {"amount_sats": sats, "purpose": purpose}
        if account:
            account.credit_begun(sats * 1000, what)
        try:
            self.world.requests += 1
            made = self.line.ask("/lightning/" + what, "POST", body,
                                 account.key if account else None, what)
        except (Cut, NotSent) as how:
            if account and isinstance(how, Cut):
                account.credit_unknown(sats * 1000, what)
            elif account:
                account.credit_refused(sats * 1000, what)
            return None
        if made.status != 200:
            # Offers whose answers were cut off stay open at their key.
            is_full = made.status == 409 and made.json()["error"]["code"] == "key_has_offers"
            if not is_full and not self.busy(made):
                raise Violation(f"no {what}: {made}", account)
            if account:
                account.credit_refused(sats * 1000, what)
            return None
        return made.json()[what + "_id"]

    def paid(self, invoice: str) -> dict:
        def unpaid(answer) -> str:
            if busy := self.busy(answer):
                return busy
            if answer.status != 200:
                raise Violation(f"status of an invoice: {answer}")
            return "" if answer.json()["status"] == "paid" else repr(answer)
        return self.until_answered(f"/lightning/invoice/{invoice}/status", unpaid,
                                   kind="status").json()

    def offer(self, offer_id: str) -> dict:
        """Its state, once it was paid."""
        def unpaid(answer) -> str:
            if busy := self.busy(answer):
                return busy
            if answer.status != 200:
                raise Violation(f"status of an offer: {answer}")
            return "" if answer.json()["payments"] else repr(answer)
        return self.until_answered(f"/lightning/offer/{offer_id}", unpaid, kind="status").json()

    def closed_offer(self, account: Account, offer_id: str) -> None:
        """Nothing more comes to it, and asked again it says the same."""
        closed = self.until_answered(f"/lightning/offer/{offer_id}/close", self.busy, method="POST",
                                     kind="status")
        self.must(closed.status == 200, account, f"closing an offer: {closed}")
        state = closed.json()
        self.must(state["status"] == "closed" and state["payments"] == 1
                  and state["amount_received_msats"] == account.offers[offer_id], account,
                  f"an offer, paid once: {state}")

    def top_up_by_invoice(self, account: Account) -> None:
        sats = self.rng.randint(3, 30)
        if invoice := self.request_money("invoice", sats, account):
            self.paid(invoice)
            self.came_in(account, sats * 1000, "invoice")

    def top_up_by_offer(self, account: Account) -> None:
        sats = self.rng.randint(3, 30)
        if offer_id := self.request_money("offer", sats, account):
            self.offer(offer_id)
            account.offers[offer_id] = sats * 1000
            self.came_in(account, sats * 1000, "offer")
            self.closed_offer(account, offer_id)

    def came_in(self, account: Account, msat: int, what: str) -> None:
        account.credit_done(msat, what)
        with self.books.lock:
            self.books.paid_in += msat

    def top_up_by_token(self, account: Account, token: Token) -> None:
        again = token.used_by is not None
        if not again:
            token.used_by = account
            account.credit_begun(token.msat, "token")
        answer = self.until_answered(
            "/v1/balance/topup", self.busy, body={"cashu_token": token.text}, key=account.key,
            kind="top-up")
        if answer.status != 200 or answer.json()["msats"] != token.msat:
            raise Violation(f"{account.name}: top-up with {token.msat}: {answer}", account)
        if not again:
            account.credit_done(token.msat, "token")

    def redeem(self, account: Account, token: Token) -> None:
        """Makes a key of a token; `account` is new, or the one that this token made before."""
        again = token.used_by is not None
        if not again:
            token.makes(account)
            account.credit_begun(token.msat, "token")
        bound = account.bound()
        answer = self.until_answered("/v1/balance/create", self.busy, kind="create",
                                     body={"initial_balance_token": token.text})
        if answer.status != 200:
            raise Violation(f"token of {token.origin.name}, {token.msat} msat: {answer}",
                            token.origin)
        if not again:
            account.credit_done(token.msat, "token")
        if account.key and answer.json()["api_key"] != account.key:
            raise Violation(f"{account.name}: the same token, another key", account)
        account.key = answer.json()["api_key"]
        account.shown(answer.json()["balance"], bound, "balance/create")

    def refund(self, account: Account) -> Token | None:
        """The token, asked for until it is there; none if there is less than a sat."""
        account.note("refund asked for")
        cuts = self.cuts
        answer = self.until_answered("/v1/balance/refund", self.busy_or_under_way, method="POST",
                                     key=account.key, kind="refund")
        if self.cuts > cuts and account.credited_since_refund:
            self.find_lost_refunds(account, answer)
        if answer.status == 400:
            code = answer.json()["error"]["code"]
            self.must(code in ("no_balance", "balance_too_small") and account.low < 1000, account,
                      f"refund: {answer}")
            return None
        self.must(answer.status == 200, account, f"refund: {answer}")
        return account.refund_done(answer.json()["token"], int(answer.json()["sats"]) * 1000)

    def find_lost_refunds(self, account: Account, answer) -> None:
        """An answer was lost, and money came before we asked again: then the next answer is another
        token, and the history has the one that was lost."""
        known = set(account.handed_out)
        if answer.status == 200:
            known.add(answer.json()["token"])
        for line in reversed(self.history(account)):
            if line["type"] == "out" and line["token"] not in known:
                account.refund_done(line["token"], line["amount"])
