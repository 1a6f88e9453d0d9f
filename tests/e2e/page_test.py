"""The page at /: nothing of it comes from elsewhere, nothing in it is what its own policy forbids."""
import html.parser
import re
import unittest

import harness


class Elements(html.parser.HTMLParser):
    """What a document names by src or href, its ids, and whatever its policy would not run."""

    def __init__(self, text: str):
        super().__init__()
        self.named: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.forbidden: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.inside = tag
        for name, value in attributes:
            if name in ("src", "href"):
                self.named.append((tag, value))
            if name == "id":
                self.ids.add(value)
            if name == "style" or name.startswith("on") or (value or "").startswith("javascript:"):
                self.forbidden.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style") and data.strip():
            self.forbidden.append(f"{self.inside}: {data!r}")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


class Page(harness.NodeCase):
    def setUp(self) -> None:
        super().setUp()
        self.node = self.nutgate()

    def test_all_of_it_is_ours_and_as_its_policy_says(self) -> None:
        page = self.node.ask("/")
        self.assertEqual(page.status, 200)
        elements = Elements(page.body.decode())
        self.assertEqual(elements.forbidden, [])
        kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        self.assertEqual(len(elements.named), 3, elements.named)
        for tag, name in elements.named:
            self.assertTrue(name.startswith("/") and not name.startswith("//"), (tag, name))
            asset = self.node.ask(name)
            self.assertEqual(asset.status, 200, name)
            kind = kinds[name[name.rindex("."):]]
            self.assertTrue(asset.headers["content-type"].startswith(kind), name)
            self.assertEqual(asset.headers["x-content-type-options"], "nosniff", name)
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("script-src 'self'", policy)
        self.assertNotRegex(policy, "unsafe|https?:|data:|\\*")

    def test_its_script_looks_for_no_element_that_is_not_there(self) -> None:
        ids = Elements(self.node.ask("/").body.decode()).ids
        script = self.node.ask("/page.js").body.decode()
        wanted = set(re.findall(r"\bat\('([a-z-]+)'\)", script)) | set(re.findall(r"\bsay\('([a-z-]+)'", script))
        self.assertGreater(len(wanted), 10)
        self.assertLessEqual(wanted, ids)

    def test_an_invoice_has_a_code_and_what_has_none_is_refused(self) -> None:
        made = self.node.ask("/lightning/invoice", body={"amount_sats": 1000}).json()
        code = self.node.ask("/qr.svg?text=" + made["bolt11"].upper())
        self.assertEqual((code.status, code.headers["content-type"]), (200, "image/svg+xml"))
        self.assertEqual(code.headers["cache-control"], "no-store")
        for text in ("", "text=", "text=" + "a" * 3000):
            self.assertEqual(self.node.ask("/qr.svg?" + text).status, 400, text[:20])


if __name__ == "__main__":
    unittest.main()
