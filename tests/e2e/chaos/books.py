"""What is right, computed from outside: what clients paid, what they were told, what they still have.

An account (one key) has three numbers, in msat, moved by what its client saw:

    low        everything that may have been charged was charged, nothing that may have been
               credited was
    high       the opposite, but for charges that a kill may have swallowed (`doubtful`)
    expected   each completed answer charged, and nothing else

    event                                             low     high    expected
    credit that is certain                            + a     + a     + a
    credit asked for, no answer yet                           + a
    answer completed at the client, cost c            - c     - c     - c
    answer cut off by the kill or by the client       - c                       c: as if completed
    refused, or never sent
    refund answered with a token of v                 - v     - v     - v
    a kill, for each answer completed just before it                            c becomes doubtful

Any balance that the node shows must be <= high + doubtful: nobody is given an msat. A balance with
nothing under way must also be >= low: nobody loses one. What exceeds `high` must be covered by
doubtful answers, the youngest first, and none of them older than the allowance when its kill came.
"""
import collections
import dataclasses
import threading
import time

# How far back answers are remembered for the figure "oldest unbilled"; the allowance is far below.
DOUBT_SECONDS = 1.0
# When what a client hung up on is over: the upstream takes far less.
LATE_SECONDS = 1.0
# And on a machine that is starved, where what it still holds back must not look like a loss.
STARVED_SECONDS = 20.0


class Violation(AssertionError):
    """Money was made or lost, or an answer was not what the contract says."""

    def __init__(self, what: str, account: "Account | None" = None):
        super().__init__(what)
        self.account = account

    def story(self) -> str:
        lines = [str(self)]
        if self.account is not None:
            lines += [f"history of {self.account.name} ({self.account.state()}):",
                      *self.account.journal]
        return "\n".join(lines)


@dataclasses.dataclass
class Doubt:
    """An answer that was completed at its client just before a kill."""
    age: float  # Seconds between the two; below zero if the client read it after the kill.
    allowed: float
    cost: int


@dataclasses.dataclass
class Token:
    """Ecash that a refund handed out."""
    text: str
    msat: int
    origin: "Account"
    used_by: "Account | None" = None
    made_key: bool = False  # As opposed to a top-up.

    def makes(self, account: "Account") -> None:
        """A key of this token, before it is asked for."""
        self.used_by, self.made_key = account, True
        account.made_of = self


class Child:
    """A key with a budget, that spends its parent's balance."""

    def __init__(self, books: "Books", parent: "Account", key: str, limit: int):
        self.books, self.parent, self.key, self.limit = books, parent, key, limit
        self.spent: list[tuple[int, float, int]] = []  # (generation, when, cost)

    def completed(self, request: "Request", when: float) -> None:
        with self.books.lock:
            self.spent.append((request.generation, when, request.cost))
            sure = sum(cost for generation, when, cost in self.spent
                       if not self.books.is_doubtful(generation, when))
            if sure > self.limit:
                raise Violation(f"a child of {self.parent.name} spent {sure} of {self.limit}",
                                self.parent)


class Request:
    """One request for money, from before it is sent."""

    def __init__(self, account: "Account", cost: int, generation: int):
        self.account, self.cost, self.generation = account, cost, generation


class Books:
    """All accounts; what a kill does to them."""

    def __init__(self):
        self.lock = threading.RLock()  # One for all accounts: nothing waits while it is held.
        self.generation = 0
        self.begin = time.monotonic()
        # When each run of the node ended, and how long before that a charge may have gone with it;
        # below zero: it was asked to end, and took its time.
        self.ends: list[tuple[float, float]] = []
        self.accounts: list[Account] = []
        self.tokens: list[Token] = []
        self.paid_in = self.costs_reported = self.answers = self.cut_answers = 0
        self.unbilled = self.charged_of_cut = 0
        self.stormy_until = 0.0  # Until then the node may have stood still, with all that it does.
        self.oldest_unbilled = 0.0

    def account(self, name: str, shared: bool = False) -> "Account":
        with self.lock:
            account = Account(self, f"{name}#{len(self.accounts)}", shared)
            self.accounts.append(account)
            return account

    def ended(self, at: float, allowed: float) -> None:
        """To be called when the process is gone, and before a next one is there."""
        with self.lock:
            self.generation += 1
            self.ends.append((at, allowed))
            for account in self.accounts:
                account.run_ended(at, allowed)

    def is_doubtful(self, generation: int, when: float) -> bool:
        """Whether the charge of an answer may have gone with the process that gave it."""
        if generation == self.generation:
            return False
        at, allowed = self.ends[generation]
        return allowed >= 0 and at - when <= allowed

    def token(self, text: str, msat: int, origin: "Account") -> Token:
        with self.lock:
            token = Token(text, msat, origin)
            self.tokens.append(token)
            origin.handed_out.add(text)
            return token


class Account:
    JOURNAL_MAX = 300

    def __init__(self, books: Books, name: str, shared: bool):
        self.books, self.name, self.shared = books, name, shared
        self.key = self.invoice = ""
        self.low = self.high = self.expected = 0
        self.late = 0  # Invoices that we never saw and that may be paid at any time.
        self.recent: collections.deque = collections.deque(maxlen=4096)  # (when, cost)
        self.doubtful: list[Doubt] = []
        self.journal: collections.deque = collections.deque(maxlen=self.JOURNAL_MAX)
        self.credits: collections.Counter = collections.Counter()  # Known ones, by amount.
        self.late_credits: collections.Counter = collections.Counter()
        self.made_of: Token | None = None
        self.handed_out: set[str] = set()  # The tokens of its refunds.
        self.last_token: Token | None = None
        self.offers: dict[str, int] = {}  # Those that were paid and closed, and what came.
        self.credited_since_refund = False
        self.credits_begun = 0
        self.open = 0
        self.dirty = False
        self.owed = 0  # At least, for answers that were left, unless a kill came.
        self.left_in, self.left_at = -1, 0.0  # When its client last hung up on an answer.

    def state(self) -> str:
        return (f"low {self.low} high {self.high} expected {self.expected} late {self.late} "
                f"doubtful {[(round(d.age * 1000, 1), d.cost) for d in self.doubtful]}")

    def note(self, text: str) -> None:
        now = time.monotonic() - self.books.begin
        self.journal.append(f"  {now:9.4f} run {self.books.generation} "
                            f"{threading.current_thread().name:10} {text}")

    def most(self) -> int:
        """No balance shown may be above this."""
        return self.high + self.late + sum(doubt.cost for doubt in self.doubtful)

    # Credits.

    def credit_begun(self, msat: int, what: str) -> None:
        with self.books.lock:
            self.dirty = True
            self.high += msat
            self.credits_begun += msat
            self.note(f"{what} of {msat} asked for")

    def credit_done(self, msat: int, what: str) -> None:
        with self.books.lock:
            self.low += msat
            self.expected += msat
            self.credits[msat] += 1
            self.credited_since_refund = True
            self.note(f"{what} of {msat} is there")

    def credit_refused(self, msat: int, what: str) -> None:
        with self.books.lock:
            self.high -= msat
            self.note(f"{what} of {msat} refused")

    def credit_unknown(self, msat: int, what: str) -> None:
        """Nobody told us the invoice, so it may be paid at any time from now on, or never."""
        with self.books.lock:
            self.high -= msat
            self.late += msat
            self.late_credits[msat] += 1
            self.credited_since_refund = True
            self.note(f"{what} of {msat} is not known to us")

    # Requests.

    def begin(self, cost: int, what: str) -> Request:
        with self.books.lock:
            self.dirty = True
            self.open += 1
            self.note(f"{what} for {cost}")
            return Request(self, cost, self.books.generation)

    def completed(self, request: Request, cost: int, when: float) -> None:
        """`cost` is what the answer said."""
        with self.books.lock:
            self.open -= 1
            self.books.answers += 1
            self.books.costs_reported += cost
            self.low -= cost
            self.high -= cost
            self.expected -= cost
            self.note(f"answered, cost {cost}")
            if request.generation == self.books.generation:
                self.recent.append((when, cost))
            elif self.books.ends[request.generation][1] >= 0:
                # Its process was gone before this client had read it.
                self.doubtful.append(Doubt(0.0, 0.0, cost))
            if self.most() < 0:
                raise Violation(f"{self.name}: more was sold than was paid for", self)

    def refused(self, why: str) -> None:
        with self.books.lock:
            self.open -= 1
            self.note(f"refused: {why}")

    def cut(self, request: Request, how: str) -> None:
        with self.books.lock:
            self.open -= 1
            self.books.cut_answers += 1
            self.low -= request.cost
            self.note(f"cut: {how}")

    def left(self, request: Request, how: str) -> None:
        """Cut by its own client: the node may not even have read it yet, and will charge it late."""
        with self.books.lock:
            self.cut(request, how)
            self.left_in, self.left_at = request.generation, time.monotonic()

    def has_late_charges(self, within: float = LATE_SECONDS) -> bool:
        since = max(self.left_at, self.books.stormy_until)
        return self.left_in == self.books.generation and time.monotonic() - since < within

    def owes(self, request: Request, least: int) -> None:
        """Without a kill, what a client left costs at least what had come of it, once it is over."""
        with self.books.lock:
            self.owed += least
            self.note(f"it costs at least {least} of {request.cost}")

    def run_ended(self, at: float, allowed: float) -> None:
        for when, cost in self.recent:
            if allowed >= 0 and at - when <= DOUBT_SECONDS:
                self.doubtful.append(Doubt(at - when, allowed, cost))
        if self.recent or self.open:
            how = "killed" if allowed >= 0 else "stopped"
            self.note(f"--- {how}; {len(self.recent)} answered, {self.open} open in this run")
        self.recent.clear()

    # Money out, and balances.

    def refund_done(self, text: str, msat: int) -> Token | None:
        """The new token, or none if it is the last one again."""
        with self.books.lock:
            self.dirty = True
            last = self.last_token
            if last is not None and last.text == text:
                if last.msat != msat:
                    raise Violation(f"{self.name}: the same token, of another amount", self)
                self.note("refund: the same token again")
                return None
            if msat > self.most():
                raise Violation(f"{self.name}: {msat} refunded, {self.most()} is right", self)
            if not self.shared and msat + 999 < self.low:
                raise Violation(f"{self.name}: only {msat} refunded of {self.low}", self)
            self.low -= msat
            self.high -= msat
            self.expected -= msat
            if not self.shared and not self.late:
                self.low = max(self.low, 0)
            token = self.books.token(text, msat, self)
            self.last_token, self.credited_since_refund = token, False
            self.note(f"refund: a token of {msat}")
            return token

    def bound(self) -> tuple[int, int]:
        """To be taken before a balance is asked for that shown() is to judge."""
        with self.books.lock:
            return self.most(), self.credits_begun

    def shown(self, balance: int, bound: tuple[int, int], where: str) -> None:
        """A balance that came with other things under way: never too high."""
        with self.books.lock:
            # A kill in between makes answers doubtful: then it is more now.
            most_before = max(bound[0] + self.credits_begun - bound[1], self.most())
            if balance > most_before:
                raise Violation(
                    f"{self.name}: {where} shows {balance}, at most {most_before} is right", self)
            if balance < 0:
                raise Violation(f"{self.name}: {where} shows {balance}", self)

    def observed(self, balance: int) -> None:
        """A balance with nothing of this account under way: from now on that is what is right."""
        with self.books.lock:
            self.note(f"balance {balance} ({self.state()})")
            if balance < self.low:
                raise Violation(
                    f"{self.name}: balance {balance}: {self.low - balance} msat are lost", self)
            if balance > self.most():
                raise Violation(
                    f"{self.name}: balance {balance}: {balance - self.most()} msat too much", self)
            if self.late or self.has_late_charges():
                return  # What is unbilled and what comes late can't be told apart yet.
            self.explain(balance - self.high)
            if balance > self.high - self.owed and not self.books.ends:
                raise Violation(f"{self.name}: balance {balance}: answers that were left are free",
                                self)
            self.owed = 0
            difference = balance - self.expected
            self.books.unbilled += max(0, difference)
            self.books.charged_of_cut += max(0, -difference)
            self.low = self.high = self.expected = balance
            self.doubtful.clear()
            self.dirty = False

    def explain(self, unbilled: int) -> None:
        """Which doubtful answers must have gone unbilled, if these many msat are not charged?"""
        for doubt in sorted(self.doubtful, key=lambda one: one.age):
            if unbilled <= 0:
                return
            unbilled -= doubt.cost
            self.books.oldest_unbilled = max(self.books.oldest_unbilled, doubt.age)
            if doubt.age > doubt.allowed:
                raise Violation(
                    f"{self.name}: an answer of {doubt.cost} msat, completed "
                    f"{doubt.age * 1000:.1f} ms before the kill, was never billed; allowed are "
                    f"{doubt.allowed * 1000:.1f} ms", self)

    def late_came(self, credited: collections.Counter) -> None:
        """What the history says was credited must be what we know and, perhaps, some of the invoices
        that we never saw."""
        with self.books.lock:
            unknown = credited - self.credits
            missing = self.credits - credited
            if missing:
                raise Violation(f"{self.name}: credits of {dict(missing)} are not there", self)
            if unknown - self.late_credits:
                raise Violation(
                    f"{self.name}: credits of {dict(unknown - self.late_credits)} are nobody's", self)
            came = sum(msat * times for msat, times in unknown.items())
            if came:
                self.note(f"late credits of {came}")
            self.credits += unknown
            self.late_credits -= unknown
            self.late -= came
            self.low += came
            self.high += came
            self.expected += came
            self.books.paid_in += came

    def late_given_up(self) -> None:
        """The rest of them was not there just before this account's last look."""
        with self.books.lock:
            self.late = 0
