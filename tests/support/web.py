"""A site served over HTTP by PHP's own server, on loopback."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import Any

from tests.support.need import ROOT, require
from tests.support.site import Site
from tests.support.wait import wait_for

ROUTER = ROOT / "tests/support/router.php"


@dataclass(frozen=True)
class Answer:
    """What the server said. `body` is decoded JSON where it is that, else text."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class Visitor:
    """Somebody with cookies of their own. `nonce` is sent along with REST calls once there is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.nonce: str | None = None
        self._cookies = CookieJar()
        # Not through a proxy that the environment names: the server is on this machine.
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        ).open

    def ask(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; an error status is an answer like any other."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method, headers=headers or {})
        if data is not None:
            request.add_header("Content-Type", "application/json")
        return self._answer(request)

    def rest(self, method: str, route: str, data: Any = None, **query: Any) -> Answer:
        """One call of the plugin's REST API, such as `rest("GET", "/jobs", status="failed")`."""
        headers = {"X-WP-Nonce": self.nonce} if self.nonce else {}
        wanted = urllib.parse.urlencode({"rest_route": f"/background-worker/v1{route}", **query})
        return self.ask(method, f"/index.php?{wanted}", data, headers)

    def log_in(self, user: str, password: str) -> Visitor:
        """With cookies and a nonce for the REST API, as wp-admin's pages have."""
        form = {"log": user, "pwd": password, "testcookie": "1", "redirect_to": f"{self.url}/wp-admin/"}
        self.ask("GET", "/wp-login.php")  # sets the cookie that it asks for
        login = urllib.request.Request(f"{self.url}/wp-login.php", data=urllib.parse.urlencode(form).encode())
        self._answer(login)
        assert any(cookie.name.startswith("wordpress_logged_in") for cookie in self._cookies), f"{user} cannot log in"
        found = self.ask("GET", "/wp-admin/admin-ajax.php?action=rest-nonce")
        assert re.fullmatch(r"[0-9a-f]{10}", str(found.body)), found
        self.nonce = str(found.body)
        return self

    def cookies(self) -> list[dict[str, Any]]:
        """As Playwright takes them."""
        return [
            {"name": each.name, "value": each.value, "domain": each.domain, "path": each.path} for each in self._cookies
        ]

    def _answer(self, request: urllib.request.Request) -> Answer:
        try:
            with self._open(request, timeout=60) as answer:
                return self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error)

    @staticmethod
    def _read(answer: Any) -> Answer:
        raw = answer.read()
        text = raw.decode("utf-8", "replace")
        is_json = "json" in answer.headers.get("Content-Type", "")
        return Answer(answer.status, json.loads(raw) if is_json and text else text, dict(answer.headers))


class Web:
    """A running server of one site; ended with the site at the latest."""

    def __init__(self, site: Site) -> None:
        self.site = site
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        if site.constants.get("MULTISITE"):
            self._move_network(f"127.0.0.1:{port}")
        else:
            site.configure(WP_HOME=self.url, WP_SITEURL=self.url)
        code = ["-d", "opcache.enable_cli=1", "-d", "opcache.validate_timestamps=1", "-d", "opcache.revalidate_freq=0"]
        self.server = site.start(
            [require("php", "php-cli"), *code, "-q", "-S", f"127.0.0.1:{port}", "-t", str(site.path), str(ROUTER)],
            env={"PHP_CLI_SERVER_WORKERS": "4"},
        )
        wait_for(lambda: _listens(port), 30, f"a server on port {port}")

    def _move_network(self, domain: str) -> None:
        """A network knows its address from the database, and each of its blogs' too."""
        site, old = self.site, self.site.url
        for table in ("site", "blogs"):
            site.query(f"UPDATE {site.table(table)} SET domain = %s", (domain,))
        for number in ("", "2_", "3_"):
            options = site.table(f"{number}options")
            change = f"UPDATE {options} SET option_value = REPLACE(option_value, %s, %s)"
            site.query(f"{change} WHERE option_name IN ('home', 'siteurl')", (old, self.url))
        site.query(f"UPDATE {site.table('sitemeta')} SET meta_value = %s WHERE meta_key = 'siteurl'", (f"{self.url}/",))
        site.configure(DOMAIN_CURRENT_SITE=domain)

    def visitor(self) -> Visitor:
        return Visitor(self.url)

    def log_in(self, user: str = "", password: str = "") -> Visitor:
        """The administrator, unless another one is named."""
        return self.visitor().log_in(user or self.site.admin, password or self.site.admin_password)


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
