"""visdom's client with time-outs: each call returns or raises within seconds, and prints nothing."""

import json
import logging

import requests
import visdom

TIMEOUTS = (2, 5)  # seconds to connect, and between two parts of a response


class Unanswered(OSError):
    """The server did not execute a request; the message gives the reason."""


class Client(visdom.Visdom):
    """Raises Unanswered from each call that fails, including the constructor."""

    def __init__(self, address, env):
        logging.getLogger("visdom").setLevel(logging.CRITICAL)  # otherwise it logs each session on the console
        self.http = requests.Session()
        self.http.trust_env = not address.is_local  # a proxy set in the environment cannot reach ports of this machine
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
        # Unanswered is not a requests exception, so visdom's handlers, which print and continue, do not catch it.
        try:
            answer = self.http.post(url, data=data or {}, timeout=TIMEOUTS, allow_redirects=False)
        except requests.Timeout as error:
            raise Unanswered("no response in time") from error
        except requests.RequestException as error:
            raise Unanswered("the connection was refused or interrupted") from error
        if answer.status_code != 200:
            raise Unanswered(f"HTTP status {answer.status_code}; another program may use that port")
        return answer.text

    def _check_that_it_is_visdom(self):
        try:
            environments = json.loads(self._send({}, endpoint="env_state"))
        except ValueError:
            environments = None
        if not isinstance(environments, list):
            raise Unanswered("another program uses that port")
