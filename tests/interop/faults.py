"""What a network does to a call, at each of the three calls that move money: a deposit's swap, the issue
of a paid invoice, and a refund's swap. Each ends in one credit or one token, without anybody's help."""
import threading

import case
import fault_proxy

SWAP, ISSUE = "/v1/swap", "/v1/mint/bolt11$"
# The node gives up on a call after 20 s.
TOO_LATE = 23.0


class Suffering(case.WalletCase):
    proxied = True

    def suffers(self, fault, times: int = 1) -> None:
        """A deposit, an invoice and a refund, each with this fault."""
        self.buy(256)  # The node pays for a refund's swap out of what else it has.
        self.deposit_suffers(fault, times)
        key = self.issue_suffers(fault, times)
        self.refund_suffers(key, fault, times)
        self.close_books()

    def deposit_suffers(self, fault, times: int) -> None:
        token = self.hand_out(90)
        net = self.net_of(token)
        rule = self.proxy.on("POST", SWAP, fault, times)
        first = self.create(token)
        self.assertIn(first.status, (200, 503), first)
        self.note(f"deposit: answered {first.status}")
        rule.wait_met()
        self.until_resolved()
        self.proxy.clear()
        self.deposited(token, self.create(token), net)

    def issue_suffers(self, fault, times: int) -> str:
        rule = self.proxy.on("POST", ISSUE, fault, times)
        key = self.buy(128)
        rule.wait_met()
        self.proxy.clear()
        return key

    def refund_suffers(self, key: str, fault, times: int) -> None:
        self.chat(key)
        rule = self.proxy.on("POST", SWAP, fault, times)
        first = self.node.ask("/v1/balance/refund", "POST", key=key)
        self.assertIn(first.status, (200, 503), first)
        self.note(f"refund: answered {first.status}")
        rule.wait_met()
        self.until_resolved()
        self.proxy.clear()
        token = self.refund(key)
        self.assertEqual(case.tokens.worth(token), 127)  # Which does not fit without a swap.
        if first.status == 200:
            self.assertEqual(self.refunded(first), token)
        self.redeem(token)


class Faults(Suffering):
    def test_the_request_is_lost(self) -> None:
        self.suffers(fault_proxy.drop_request)

    def test_the_request_is_lost_three_times(self) -> None:
        self.suffers(fault_proxy.drop_request, 3)

    def test_the_answer_is_lost(self) -> None:
        self.suffers(fault_proxy.drop_answer)

    def test_the_answer_is_lost_three_times(self) -> None:
        self.suffers(fault_proxy.drop_answer, 3)

    def test_the_request_arrives_twice(self) -> None:
        self.suffers(fault_proxy.duplicate)

    def test_the_request_arrives_twice_at_once(self) -> None:
        self.suffers(fault_proxy.duplicate_at_once)

    def test_the_answer_breaks_off(self) -> None:
        self.suffers(fault_proxy.cut_answer(0.5))

    def test_a_gateway_answers_502_and_the_mint_has_done_it(self) -> None:
        self.suffers(fault_proxy.replace_answer(502, b"<html>bad gateway</html>"), 2)

    def test_a_gateway_answers_500_and_the_mint_knows_of_nothing(self) -> None:
        self.suffers(fault_proxy.answer_instead(500, b"oops"), 2)

    def test_the_mint_says_429_for_a_while(self) -> None:
        self.suffers(fault_proxy.answer_instead(429, b'{"detail":"too many"}'), 2)


class Late(Suffering):
    """Beyond the node's deadline."""

    def test_the_answer_comes_when_nobody_waits(self) -> None:
        self.suffers(fault_proxy.late_answer(TOO_LATE))

    def test_the_request_comes_when_the_node_has_given_up(self) -> None:
        self.suffers(fault_proxy.late_request(TOO_LATE))


class Away(case.WalletCase):
    proxied = True

    def test_while_connections_are_refused_nothing_is_begun_and_balances_are_spent(self) -> None:
        key = self.buy(64)
        token = self.hand_out(30)
        net = self.net_of(token)
        self.proxy.close()
        answer = self.create(token)
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(self.node.ask("/lightning/invoice", body={"amount_sats": 5}).status, 503)
        self.chat(key)
        self.audit()
        self.proxy.open()
        self.until_resolved()
        self.deposited(token, self.create(token), net)
        self.close_books()

    def test_sixteen_at_once_while_every_third_call_is_lost(self) -> None:
        """Deposits, invoices and refunds side by side."""
        self.buy(300)
        given = [self.hand_out(20 + number) for number in range(4)]
        nets = {token: self.net_of(token) for token in given}
        keys = [self.buy(30 + number) for number in range(6)]
        for key in keys:
            self.chat(key)
        rules = [self.proxy.on("POST", SWAP, fault, times=3, after=after) for fault, after in
                 ((fault_proxy.drop_answer, 0), (fault_proxy.drop_request, 2),
                  (fault_proxy.cut_answer(0.3), 4))]
        workers = [threading.Thread(target=self.create, args=(token,)) for token in given] + [
            threading.Thread(target=self.node.ask, args=("/v1/balance/refund", "POST"),
                             kwargs={"key": key}) for key in keys]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertGreater(sum(rule.met for rule in rules), 3)
        self.proxy.clear()
        self.until_resolved()
        for token in given:
            self.deposited(token, self.create(token), nets[token])
        for key in keys:
            self.redeem(self.refund(key))
        self.close_books()
