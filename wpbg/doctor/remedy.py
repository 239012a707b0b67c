"""What to type where a check cannot go on: for each refusal the command that mends it, or that shows where it is."""

from __future__ import annotations

import re
import shlex

from wpbg.errors import QueueUnreachable, UsageError, WordPressNotFound, WpbgError, WpCliNotFound

# As PHP tells of a file with an error: "in FILE:7" or "in FILE on line 7".
_FILE = re.compile(r"\bin (/\S*?\.php)(?::| on line )\d+")

_PLUGIN = re.compile(r"/wp-content/plugins/([^/]+)/")

_CONSTANT = re.compile(r"^([A-Z][A-Z_]+) is .* in wp-config\.php")


def remedy(error: WpbgError) -> str:
    """A command, or nothing."""
    text = error.message
    if isinstance(error, WordPressNotFound):
        return "wpbg doctor --path /path/to/the/site"
    if isinstance(error, WpCliNotFound):
        return "apt-get install php-cli" if "PHP is not" in text else "wpbg doctor --wp /path/to/wp"
    if isinstance(error, QueueUnreachable):
        return "systemctl start mariadb  (the server's address: wp config get DB_HOST)"
    if isinstance(error, UsageError):
        found = _CONSTANT.search(text)
        return f"wp config delete {found[1]}" if found else ""
    if "has no wp-config.php" in text:
        return "wp config create --dbname=NAME --dbuser=USER --prompt=dbpass"
    if "is not installed yet" in text:
        return "wp core install --prompt"
    return _broken(text)


def _broken(text: str) -> str:
    """For a file of the site that PHP cannot run: without its plugin, the site boots."""
    file = _FILE.search(text)
    if file is None:
        return ""
    plugin = _PLUGIN.search(file[1])
    if plugin:
        return f"wp plugin deactivate {shlex.quote(plugin[1])} --skip-plugins"
    return f"php -l {shlex.quote(file[1])}"
