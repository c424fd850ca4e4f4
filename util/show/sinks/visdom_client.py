"""visdom's client with an end to its patience: each call answers within seconds or raises, and prints nothing."""

import json
import logging

import requests
import visdom

PATIENCE = (2, 5)  # seconds to connect, and between two pieces of an answer


class Unanswered(OSError):
    """The server did not do what it was asked; the text says why, in a few words."""


class Client(visdom.Visdom):
    """Raises Unanswered from every call that fails, the constructor among them."""

    def __init__(self, address, env):
        logging.getLogger("visdom").setLevel(logging.CRITICAL)  # it announces every session on the console
        self.http = requests.Session()
        self.http.trust_env = not address.is_local  # a proxy from the environment does not know this machine's ports
        super().__init__(
            server=f"{address.scheme}://{address.netloc}",
            port=address.port,
            base_url=address.path or "/",
            env=env,
            use_incoming_socket=False,
            raise_exceptions=True,
        )
        self._check_that_it_is_visdom()

    def _handle_post(self, url, data=None):
        # Unanswered is no requests exception: visdom's own handlers, which print and carry on, let it pass.
        try:
            answer = self.http.post(url, data=data or {}, timeout=PATIENCE, allow_redirects=False)
        except requests.Timeout as error:
            raise Unanswered("it does not answer in time") from error
        except requests.RequestException as error:
            raise Unanswered("the connection is refused or breaks off") from error
        if answer.status_code != 200:
            raise Unanswered(f"it answers with HTTP status {answer.status_code}, as another program on that port would")
        return answer.text

    def _check_that_it_is_visdom(self):
        try:
            environments = json.loads(self._send({}, endpoint="env_state"))
        except ValueError:
            environments = None
        if not isinstance(environments, list):
            raise Unanswered("another program uses that port")
