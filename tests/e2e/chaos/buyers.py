"""Who is in the crowd, and what each of them likes to do."""
import threading

from chaos.books import Account, Child
from chaos.client import Client, World

# A head of more than 32 KiB is refused; a token of hundreds of small proofs is for a body.
BEARER_BYTES_MAX = 30_000


class Buyer(Client):
    """Has keys of their own, one request at a time, and so knows what is right to the msat."""

    ACCOUNTS_MAX = 4

    def __init__(self, world: World, name: str):
        super().__init__(world, name)
        self.mine: list[Account] = []
        self.deeds = [(self.plain, 24), (self.streamed, 14), (self.leaves_stream, 10),
                      (self.leaves_answer, 8), (self.unlucky, 6), (self.cashes_out, 12),
                      (self.moves, 6), (self.tops_up, 6), (self.looks, 8), (self.asks_again, 6),
                      (self.pays_by_bearer, 5), (self.pays_once, 6), (self.insists, 5),
                      (self.sends_a_child, 6)]
        # Asks the same at the same time, on a connection of its own.
        self.twin = Client(world, name + "'")
        self.children: dict[str, Child] = {}

    def act(self) -> None:
        if not self.mine:
            self.buys()
            return
        if len(self.mine) < self.ACCOUNTS_MAX and self.rng.random() < 0.02:
            self.buys()
        deeds, weights = zip(*self.deeds)
        self.rng.choices(deeds, weights)[0](self.rng.choice(self.mine))

    def buys(self) -> None:
        sats = self.rng.randint(20, 80)
        what = "invoice" if self.rng.random() < 0.7 else "offer"
        made = self.request_money(what, sats, None)
        if not made:
            return
        status = self.paid(made) if what == "invoice" else self.offer(made)
        account = self.books.account(self.name)
        account.key = status["api_key"]
        account.credit_begun(sats * 1000, "first " + what)
        self.came_in(account, sats * 1000, "first " + what)
        if what == "invoice":
            account.invoice = made
        else:
            account.offers[made] = sats * 1000
            self.closed_offer(account, made)
        self.mine.append(account)

    def plain(self, account: Account) -> None:
        if self.chat(account) == 402:
            self.cashes_out(account)

    def streamed(self, account: Account) -> None:
        if self.stream(account, f"gap={self.rng.choice((0, 0, 1))}") == 402:
            self.cashes_out(account)

    def leaves_stream(self, account: Account) -> None:
        self.stream(account, f"gap={self.rng.choice((0, 1, 3))}", self.rng.randint(1, 8))

    def leaves_answer(self, account: Account) -> None:
        self.leave_answer(account)

    def unlucky(self, account: Account) -> None:
        if self.rng.random() < 0.5:
            self.chat(account, asked=f"fail={self.rng.choice((500, 503, 401, 404))}")
        else:
            self.stream(account, "die=1")

    def cashes_out(self, account: Account) -> None:
        """The rest as a token, and a new key of it. The dust below one sat stays behind."""
        token = self.refund(account)
        self.mine.remove(account)
        if token is None:
            return
        heir = self.books.account(self.name)
        self.redeem(heir, token)
        self.mine.append(heir)

    def moves(self, account: Account) -> None:
        """One key's rest tops up another key."""
        others = [other for other in self.mine if other is not account]
        if not others:
            return
        if token := self.refund(account):
            self.top_up_by_token(self.rng.choice(others), token)
        self.mine.remove(account)

    def tops_up(self, account: Account) -> None:
        if self.rng.random() < 0.6:
            self.top_up_by_invoice(account)
        else:
            self.top_up_by_offer(account)

    def looks(self, account: Account) -> None:
        if self.rng.random() < 0.5:
            self.glance(account)
        else:
            self.observe(account)

    def asks_again(self, account: Account) -> None:
        """Nothing that was answered once is answered otherwise now."""
        self.repeat(account)
        last = account.last_token
        if last is None or not last.used_by:
            return
        if last.made_key:
            self.redeem(last.used_by, last)
        else:
            self.top_up_by_token(last.used_by, last)

    def repeat(self, account: Account) -> None:
        if account.invoice:
            status = self.paid(account.invoice)
            self.must(status["api_key"] == account.key, account, f"another key: {status}")
        for offer_id in account.offers:
            self.closed_offer(account, offer_id)
        if account.made_of:
            self.redeem(account, account.made_of)

    def pays_by_bearer(self, account: Account) -> None:
        """A token in the place of a key: it becomes one by being used."""
        token = self.refund(account)
        self.mine.remove(account)
        if token is None:
            return
        heir = self.books.account(self.name)
        token.makes(heir)
        heir.credit_begun(token.msat, "token as bearer")
        # Whether or not it was answered, from here on the token is that key's.
        if len(token.text) < BEARER_BYTES_MAX:
            self.chat(heir, token.text, kind="bearer")
        self.redeem(heir, token)
        heir.credit_done(token.msat, "token as bearer")
        self.mine.append(heir)

    def pays_once(self, account: Account) -> None:
        """A token that pays for one request and is no key: what is left of it becomes one."""
        token = self.refund(account)
        self.mine.remove(account)
        if token is None:
            return
        once = self.books.account(self.name)
        token.makes(once)
        once.credit_begun(token.msat, "token for one request")
        if len(token.text) < BEARER_BYTES_MAX:
            self.chat_once(once, token)
        change = self.change_of(once, token)
        if change is None:
            return
        heir = self.books.account(self.name)
        self.redeem(heir, change)
        self.mine.append(heir)

    def insists(self, account: Account) -> None:
        """Asks for a refund twice at once, and then for a key of the token, twice at once."""
        def refund(one: Client):
            return one.until_answered("/v1/balance/refund", one.busy_or_under_way, method="POST",
                                      key=account.key, kind="refund")
        def create(one: Client):
            return one.until_answered("/v1/balance/create", one.busy, kind="create",
                                      body={"initial_balance_token": token.text})
        if account.late or account.high < 1000:
            return  # Money may come in between, and then two tokens are right.
        account.note("refund asked for, twice at once")
        mine, other = self.at_once(refund)
        if mine.status == other.status == 400:
            return
        self.must(mine.body == other.body, account, f"two refunds at once: {mine}, {other}")
        token = account.refund_done(mine.json()["token"], int(mine.json()["sats"]) * 1000)
        if token is None:
            return
        heir = self.books.account(self.name)
        token.makes(heir)
        heir.credit_begun(token.msat, "token, twice at once")
        mine, other = self.at_once(create)
        self.must(mine.status == 200 and mine.body == other.body, heir,
                  f"two deposits at once: {mine}, {other}")
        heir.credit_done(token.msat, "token, twice at once")
        heir.key = mine.json()["api_key"]
        self.mine.remove(account)
        self.mine.append(heir)

    def at_once(self, ask) -> tuple:
        answers = []
        def other() -> None:
            try:
                answers.append(ask(self.twin))
            except BaseException as failure:
                self.world.fail(failure)
        thread = threading.Thread(target=other, name=self.twin.name)
        thread.start()
        mine = ask(self)
        thread.join()
        if not answers:
            raise SystemExit  # The world is over, and why has been told.
        return mine, answers[0]

    def sends_a_child(self, account: Account) -> None:
        child = self.children.get(account.key)
        if child is None:
            limit = self.rng.randint(500, 5000)
            made = self.until_answered("/v1/balance/child-key", self.busy, key=account.key,
                                       body={"count": 1, "balance_limit": limit}, kind="child")
            self.must(made.status == 200, account, f"child key: {made}")
            child = Child(self.books, account, made.json()["api_keys"][0], limit)
            self.children[account.key] = child
        self.chat(account, child=child)


class HotKey:
    """One key that many spend from at once, often down to nothing."""

    def __init__(self, world: World):
        self.account = world.books.account("hot", shared=True)
        self.calm = threading.Event()  # Set: its clients keep off for a moment.
        self.thirsty = threading.Event()
        self.served = threading.Condition()
        self.spending = 0


class HotClient(Client):
    """One of the many."""

    def __init__(self, world: World, name: str, hot: HotKey):
        super().__init__(world, name)
        self.hot = hot

    def act(self) -> None:
        hot = self.hot
        with hot.served:
            if hot.calm.is_set() or not hot.account.key:
                hot.served.wait(0.05)
                return
            hot.spending += 1
        try:
            status = self.spend(hot.account)
        finally:
            with hot.served:
                hot.spending -= 1
                hot.served.notify_all()
        if status == 402:
            hot.thirsty.set()
            with hot.served:
                hot.served.wait(0.02)

    def spend(self, account: Account) -> int:
        draw = self.rng.random()
        if draw < 0.6:
            return self.chat(account)
        if draw < 0.8:
            return self.stream(account)
        if draw < 0.87:
            return self.stream(account, "gap=1", self.rng.randint(1, 5))
        if draw < 0.92:
            return self.leave_answer(account)
        self.glance(account)
        return 200


class HotKeeper(Buyer):
    """Keeps the hot key in money, and takes it out under its clients' hands now and then."""

    def __init__(self, world: World, name: str, hot: HotKey):
        super().__init__(world, name)
        self.hot = hot

    def act(self) -> None:
        hot = self.hot
        if not hot.account.key:
            self.open_hot_key()
            return
        if not hot.thirsty.wait(0.05):
            self.glance(hot.account)
            return
        hot.thirsty.clear()
        draw = self.rng.random()
        if draw < 0.5:
            self.top_up_by_invoice(hot.account)
        elif draw < 0.8:
            self.top_up_by_other_key()
        else:
            self.takes_out()

    def open_hot_key(self) -> None:
        self.buys()
        if not self.mine:
            return
        if token := self.refund(self.mine.pop()):
            self.redeem(self.hot.account, token)

    def top_up_by_other_key(self) -> None:
        self.buys()
        if self.mine and (token := self.refund(self.mine.pop())):
            self.top_up_by_token(self.hot.account, token)

    def takes_out(self) -> None:
        """A refund among requests that begin and end; then, with them kept off, until answered."""
        hot = self.hot
        hot.calm.set()
        try:
            if self.rng.random() < 0.5:
                with hot.served:
                    hot.served.wait_for(lambda: hot.spending == 0, 5)
            token = self.refund(hot.account)
        finally:
            hot.calm.clear()
        if token is None:
            hot.thirsty.set()
            return
        self.top_up_by_token(hot.account, token)
