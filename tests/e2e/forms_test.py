"""Forms with files: the `openai` package and a client on a bare socket, with sounds of some MB.

The upstream is one of the test's own, which says when a form's beginning has reached it, and answers
with the file's hash: what came is what was sent.
"""
import email.parser
import email.policy
import hashlib
import http.server
import json
import socket
import threading
import unittest
import urllib.parse

import harness

SOUND = b"RIFF" + bytes(range(256)) * 12_288  # 3 MiB and its first letters.
SECONDS = 7
SECOND_MSAT = 10
COST = SECONDS * SECOND_MSAT
BEGINNING = 64 * 1024  # Of a form, at the upstream.


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    begun = threading.Event()

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.answer({"object": "list", "data": [{"id": "loud", "object": "model"}]})

    def pieces(self):
        """The body as it comes: with its length, or in chunks."""
        if "content-length" in self.headers:
            left = int(self.headers["content-length"])
            while left > 0:
                piece = self.rfile.read(min(BEGINNING, left))
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_POST(self) -> None:
        form = b""
        for piece in self.pieces():
            form += piece
            if len(form) >= BEGINNING:
                self.begun.set()
        kind = self.headers["content-type"].encode()
        parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            b"content-type: " + kind + b"\r\n\r\n" + form)
        fields = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                  for part in parts.iter_parts()}
        self.answer({"text": hashlib.sha256(fields["file"]).hexdigest(),
                     "model": fields["model"].decode(),
                     "usage": {"type": "duration", "seconds": SECONDS}})

    def answer(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Forms(harness.NodeCase):
    def setUp(self) -> None:
        super().setUp()
        Upstream.begun.clear()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        config = (f'[[upstream]]\nname = "u"\ndialect = "openai"\n'
                  f'url = "http://127.0.0.1:{server.server_address[1]}/v1"\n'
                  f'[[model]]\nid = "sound"\nupstreams = ["u"]\ncontext = 1000\noutput_max = 100\n'
                  f'endpoints = ["transcriptions"]\nprice.audio_second_msat = {SECOND_MSAT}\n')
        self.node = self.nutgate("--config", self.config(config))
        self.key = self.node.buy_key(50_000)
        self.before = self.node.balance(self.key)

    def ended(self, cost: int) -> None:
        self.assertEqual(self.before - self.node.balance(self.key), cost)
        self.node.until_posted()
        self.node.stop()
        self.node.audit()

    def test_the_openai_package_sends_sounds_in_whatever_order(self) -> None:
        path = self.folder / "sound.wav"
        path.write_bytes(SOUND)
        said = harness.run_node_script("openai_forms.mjs", {
            "NUTGATE_URL": self.node.url, "NUTGATE_KEY": self.key, "SOUND": str(path),
            "SOUND_SHA256": hashlib.sha256(SOUND).hexdigest()})
        self.ended(COST * int(said.rsplit("sounds ", 1)[1]))

    def open_form(self) -> tuple[socket.socket, bytes]:
        """A client that has sent half of its form, and the other half."""
        form = (b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nsound\r\n'
                b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
                + SOUND + b"\r\n--x--\r\n")
        at = urllib.parse.urlsplit(self.node.url)
        client = socket.create_connection((at.hostname, at.port), harness.PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: %s\r\n"
                       b"authorization: Bearer %s\r\nconnection: close\r\n"
                       b"content-type: multipart/form-data; boundary=x\r\ncontent-length: %d\r\n\r\n"
                       % (at.netloc.encode(), self.key.encode(), len(form)))
        half = len(form) // 2
        client.sendall(form[:half])
        return client, form[half:]

    def test_a_form_reaches_its_upstream_before_its_client_has_sent_it_all(self) -> None:
        client, rest = self.open_form()
        self.assertTrue(Upstream.begun.wait(harness.PATIENCE), "its beginning has passed")
        client.sendall(rest)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer[:300])
        self.assertIn(hashlib.sha256(SOUND).hexdigest().encode(), answer)
        self.ended(COST)

    def test_a_client_that_leaves_in_the_middle_of_its_file_pays_nothing(self) -> None:
        client, _ = self.open_form()
        self.assertTrue(Upstream.begun.wait(harness.PATIENCE), "its beginning has passed")
        client.close()
        self.ended(0)

    def test_a_node_that_dies_while_a_file_passes_has_charged_nothing(self) -> None:
        self.open_form()
        self.assertTrue(Upstream.begun.wait(harness.PATIENCE), "its beginning has passed")
        self.node.kill()
        self.node.start()
        self.ended(0)


if __name__ == "__main__":
    unittest.main()
